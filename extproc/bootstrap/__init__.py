"""Envoy's whole configuration, from the settings. The only package that imports `envoy_data_plane`.

    settings ─▶ build ─▶ Bootstrap ─▶ render ─▶ YAML
                             └──────▶ plain ─▶ a document for `extproc.mesh`

    listener   the entry: limits, paths, which headers a client may not send
      filters      the processor's filter and its neighbours
      routes       what each steering header means, and what happens to a request without one
      access_log   one JSON line a request
      unserved     what the secondary refused, and no primary was there to ask
      local_reply  the answer where no site could be reached
    stale        before the secondary where it answers for the primary: by digest only
    clusters   who is there: the sites, both in a row (either way), processor, admin server, issuer
      endpoints    addresses, and the metadata that says which site an endpoint is
      health       when a site is left alone; the primary never is
      tls          contexts on both sides
    header     header mutations
    names      the words that these share

A comment that says "fact N" means one of those listed in docs/envoy.md: each was found by running Envoy.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # envoy-data-plane 2.2 declares its validators in a way that pydantic 2.12 deprecates, at import.
    warnings.simplefilter("ignore", DeprecationWarning)
    from extproc.bootstrap.document import build, plain, render

__all__ = ["build", "plain", "render"]
