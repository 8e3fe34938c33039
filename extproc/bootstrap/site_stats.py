"""What each site served, as statistics of Envoy: requests and bytes, by site, route and class of the answer.

Envoy's own statistics of clusters do not tell the two sites of one cluster apart (`fallback = "priorities"`), count
each attempt, and know no body sizes. These count what a client got, once, where the access log would write its line.

Redirected answers (3xx) are counted apart by their class: their bytes are not Envoy's.

Tags are few by construction: sites and routes come from this configuration and the processor, never from a client.
"""

from __future__ import annotations

from typing import Final

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import Config, ConfigCounter, ConfigStat, ConfigTag
from envoy_data_plane.envoy.type.v3 import Scope
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap.names import GEO_METADATA, GEO_ROUTE

PREFIX: Final = "geo"
REQUESTS: Final = "served_requests"
BYTES: Final = "served_bytes"
"""Of bodies that clients got."""


def site_stats() -> AccessLog:
    tags = [
        ConfigTag(name="site", value_format=f"%UPSTREAM_METADATA({GEO_METADATA}:site)%"),
        ConfigTag(name="route", value_format=f"%REQ({GEO_ROUTE})%"),
        ConfigTag(name="status", value_format="%RESPONSE_CODE%"),
    ]
    config = Config(
        stats_scope=Scope(prefix=PREFIX),
        counters=[
            ConfigCounter(stat=ConfigStat(name=REQUESTS, tags=tags), value_fixed=1),
            ConfigCounter(stat=ConfigStat(name=BYTES, tags=tags), value_format="%BYTES_SENT%"),
        ],
    )
    return AccessLog(name="envoy.access_loggers.stats", typed_config=Any.pack(config))
