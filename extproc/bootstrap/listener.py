"""The entry: what is accepted, how large, for how long, and what a client may not say."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import (
    Http2ProtocolOptions,
    HttpProtocolOptions,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerServerHeaderTransformation,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import HeaderMutation
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import filters, local_reply, tls
from extproc.bootstrap.access_log import access_logs
from extproc.bootstrap.endpoints import address
from extproc.bootstrap.header import remove
from extproc.bootstrap.names import BUFFER, GEO_REASON, GEO_ROUTE, GEO_SITE, GEO_STALE, UNBOUNDED, seconds
from extproc.bootstrap.routes import route_configuration
from extproc.bootstrap.site_stats import site_stats
from extproc.bootstrap.tracing import tracing
from extproc.settings import Settings


def listener(settings: Settings) -> Listener:
    return Listener(
        name="registry",
        address=address(settings.envoy.listen),
        per_connection_buffer_limit_bytes=BUFFER,
        filter_chains=[
            FilterChain(
                filters=[
                    Filter(
                        name="envoy.filters.network.http_connection_manager",
                        typed_config=Any.pack(connection_manager(settings)),
                    )
                ],
                transport_socket=tls.downstream(settings.envoy),
                transport_socket_connect_timeout=timedelta(seconds=10),
            )
        ],
    )


def connection_manager(settings: Settings) -> HttpConnectionManager:
    envoy = settings.envoy
    return HttpConnectionManager(
        stat_prefix="registry",
        codec_type=HttpConnectionManagerCodecType.AUTO,
        # Fact 4: only here, before the first route is chosen. Removed by a filter, a forged header would still
        # steer every request for which the processor is away.
        early_header_mutation_extensions=[_unforgeable()],
        http_filters=filters.http_filters(settings),
        route_config=route_configuration(settings),
        access_log=[*access_logs(envoy), site_stats()],
        tracing=tracing(settings.telemetry),
        local_reply_config=local_reply.unavailable(show_site=envoy.response_headers),
        # Fact 14. Routes, processor and registry all see the path after this; the query is left alone.
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManagerPathWithEscapedSlashesAction.REJECT_REQUEST,
        # X-Forwarded-For and -Proto become true, or are kept from that many proxies in front. A registry builds
        # `Location` from them.
        use_remote_address=True,
        # `internal_address_config` stays unset: given, even empty, it lets private addresses, which is all of a
        # company, set x-envoy-retry-on and x-envoy-upstream-rq-timeout-ms. Unset, Envoy 1.40 strips them for all.
        xff_num_trusted_hops=envoy.xff_num_trusted_hops,
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        stream_idle_timeout=seconds(envoy.idle_timeout),
        # An upload may last as long as bytes move; its head may not.
        request_timeout=UNBOUNDED,
        request_headers_timeout=timedelta(seconds=10),
        delayed_close_timeout=timedelta(seconds=1),
        max_request_headers_kb=60,
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=seconds(envoy.idle_timeout), max_headers_count=100
        ),
        http2_protocol_options=Http2ProtocolOptions(
            max_concurrent_streams=100,
            initial_stream_window_size=BUFFER,
            initial_connection_window_size=4 * BUFFER,
        ),
    )


def _unforgeable() -> TypedExtensionConfig:
    mutations = [remove(name) for name in (GEO_ROUTE, GEO_REASON, GEO_SITE, GEO_STALE)]
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=Any.pack(HeaderMutation(mutations=mutations)),
    )
