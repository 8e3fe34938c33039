"""The names that routes, filters and clusters share."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
SECONDARY_FIRST: Final = "secondary_first"
"""The secondary and, for whatever it does not serve, the primary in the same request."""
EXTPROC: Final = "geo_extproc"
ADMIN: Final = "geo_admin"
ISSUER: Final = "issuer"

GEO_ROUTE: Final = "x-geo-route"
"""Set by the processor: `secondary` or `primary`. A request without it was seen by no processor."""
GEO_REASON: Final = "x-geo-reason"
GEO_SITE: Final = "x-geo-site"
NOBODY: Final = "none"
"""Value of `x-geo-site` where no site answered and Envoy did."""
GEO_METADATA: Final = "geo"
"""Namespace of endpoint metadata; its `site` reaches response headers, the access log and the processor."""

PROCESSOR_FILTER: Final = "envoy.filters.http.ext_proc"

BUFFER: Final = 256 * 1024
"""Bytes buffered for one connection in each direction; with 1 MiB, 4,096 slow pulls would hold 8 GiB."""

UNBOUNDED: Final = timedelta(0)
"""Envoy reads a zero duration as no limit."""


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)
