"""HTTP as spoken to a cluster."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.core.v3 import (
    Http1ProtocolOptions,
    Http2ProtocolOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    HttpProtocolOptions as CommonOptions,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.http.upstream_codec.v3 import UpstreamCodec
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap.header import overwrite
from extproc.bootstrap.names import GEO_ANSWER, GEO_METADATA

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

IDLE = timedelta(seconds=30)
"""Kept connections are closed by us before a registry or a balancer does (60 s and more): a write sent into a
connection that is just being closed cannot be sent again."""


def http1() -> dict[str, Any]:
    return _options(_http1())


def secondary_first() -> dict[str, Any]:
    """HTTP/1.1, with a note on each answer saying whose it is: what to do about a 404 depends on that.

    Filters of a cluster see an answer before the router decides on a second try. Under a composite cluster those
    of the parent run, not those of the cluster that it chose.
    """
    options = _http1()
    options.http_filters = [
        HttpFilter(
            name="envoy.filters.http.header_mutation",
            typed_config=Any.pack(
                HeaderMutation(
                    mutations=Mutations(
                        response_mutations=[
                            Mutation(
                                append=overwrite(
                                    GEO_ANSWER, f"%UPSTREAM_METADATA({GEO_METADATA}:site)% %RESP(:STATUS)%"
                                )
                            )
                        ]
                    )
                )
            ),
        ),
        HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=Any.pack(UpstreamCodec())),
    ]
    return _options(options)


def http2(streams: int) -> dict[str, Any]:
    """`streams` at once on one connection, beyond which Envoy opens another."""
    return _options(
        HttpProtocolOptions(
            explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(
                http2_protocol_options=Http2ProtocolOptions(max_concurrent_streams=streams)
            )
        )
    )


def _http1() -> HttpProtocolOptions:
    return HttpProtocolOptions(
        common_http_protocol_options=CommonOptions(idle_timeout=IDLE),
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions()),
    )


def _options(options: HttpProtocolOptions) -> dict[str, Any]:
    return {OPTIONS: Any.pack(options)}
