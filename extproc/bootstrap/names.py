"""The names that routes, filters and clusters share."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
SECONDARY_FIRST: Final = "secondary_first"
"""The secondary and, for whatever it does not serve, the primary in the same request."""
PRIMARY_THEN_SECONDARY: Final = "primary_then_secondary"
"""The primary and, only where it fails, the secondary by way of the listener `stale`."""
PRIMARY_IF_WELL: Final = "primary_if_well"
"""The primary, left alone while it looks dead."""
PRIMARY_AFTER_ALL: Final = "primary_after_all"
"""The primary once more, however it looks: where the secondary had nothing to answer in its place."""
STALE: Final = "stale"
"""An internal listener before the secondary, and the cluster that leads to it."""
LOCAL: Final = "local"
"""The registry beside this Envoy, however it looks: where it is the primary, and where the primary failed. Also the
value of `x-geo-route` for the former."""
EXTPROC: Final = "geo_extproc"
ADMIN: Final = "geo_admin"
ENVOY_ADMIN: Final = "envoy_admin"
ISSUER: Final = "issuer"
COLLECTOR: Final = "otlp_collector"

GEO_ROUTE: Final = "x-geo-route"
"""Set by the processor: `secondary`, `primary`, `primary-then-secondary` or `local`. A request without it was seen by
no processor."""
IF_PRIMARY_FAILS: Final = "primary-then-secondary"
GEO_STALE: Final = "x-geo-stale"
"""Set by the processor: the path, by digest, that the secondary may be asked for where the primary fails."""
GEO_REASON: Final = "x-geo-reason"
GEO_SITE: Final = "x-geo-site"
NOBODY: Final = "none"
"""Value of `x-geo-site` where no site answered and Envoy did."""
GEO_METADATA: Final = "geo"
"""Namespace of endpoint metadata; its `site` reaches response headers, the access log and the processor."""

PROMOTED_KEY: Final = "geo.promoted"
"""Envoy's runtime key: the percentage of all requests, 0 or 100, that go to `LOCAL` whoever saw them."""

PROCESSOR_FILTER: Final = "envoy.filters.http.ext_proc"

BUFFER: Final = 256 * 1024
"""Bytes buffered for one connection in each direction; with 1 MiB, 4,096 slow pulls would hold 8 GiB."""

UNBOUNDED: Final = timedelta(0)
"""Envoy reads a zero duration as no limit."""


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)
