"""HTTP as spoken to a cluster."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import (
    Http1ProtocolOptions,
    Http2ProtocolOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.google.protobuf import Any

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

IDLE = timedelta(seconds=30)
"""Kept connections are closed by us before a registry or a balancer does (60 s and more): a write sent into a
connection that is just being closed cannot be sent again."""


def http1() -> dict[str, Any]:
    return _options(
        HttpProtocolOptions(
            common_http_protocol_options=CommonOptions(idle_timeout=IDLE),
            explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions()),
        )
    )


def http2(streams: int) -> dict[str, Any]:
    """`streams` at once on one connection, beyond which Envoy opens another."""
    return _options(
        HttpProtocolOptions(
            explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(
                http2_protocol_options=Http2ProtocolOptions(max_concurrent_streams=streams)
            )
        )
    )


def _options(options: HttpProtocolOptions) -> dict[str, Any]:
    return {OPTIONS: Any.pack(options)}
