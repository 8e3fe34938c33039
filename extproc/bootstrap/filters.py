"""The HTTP filters: requests pass them from the first to the last, responses back."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRules
from envoy_data_plane.envoy.config.core.v3 import (
    BackoffStrategy,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    RetryPolicy,
    RetryPolicyRetryHostPredicate,
)
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    ExtProcPerRoute,
    HeaderForwardingRules,
    ProcessingMode,
    ProcessingModeBodySendMode,
    ProcessingModeHeaderSendMode,
)
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import unserved
from extproc.bootstrap.names import EXTPROC, PROCESSOR_FILTER, seconds
from extproc.settings import Settings

REQUEST_HEADERS = (":method", ":path", "authorization", "accept", "traceparent")
RESPONSE_HEADERS = (":status", "docker-content-digest", "content-type")


def http_filters(settings: Settings) -> list[HttpFilter]:
    envoy = settings.envoy
    if envoy.fallback == "priorities":
        return [unserved.unavailable_instead(show_site=envoy.response_headers), processor(settings), router()]
    return [processor(settings), router()]


def processor(settings: Settings) -> HttpFilter:
    """The external processor: sees heads only, and may be away at any time.

    Fact 8: `failure_mode_allow`, a default route to the primary and early header removal together fail safe.
    """
    send, skip = ProcessingModeHeaderSendMode.SEND, ProcessingModeHeaderSendMode.SKIP
    none = ProcessingModeBodySendMode.NONE
    return HttpFilter(
        name=PROCESSOR_FILTER,
        typed_config=Any.pack(
            ExternalProcessor(
                grpc_service=GrpcService(
                    envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=EXTPROC), retry_policy=_another_worker()
                ),
                failure_mode_allow=True,
                # Fact 6: the response phase is asked for by the answer to a request, for that exchange only.
                allow_mode_override=True,
                processing_mode=ProcessingMode(
                    request_header_mode=send,
                    response_header_mode=skip,
                    request_body_mode=none,
                    response_body_mode=none,
                    request_trailer_mode=skip,
                    response_trailer_mode=skip,
                ),
                message_timeout=seconds(settings.envoy.message_timeout),
                # Which site answered, after how many attempts; `xds.cluster_name` would name the parent only.
                response_attributes=["upstream.request_attempt_count", "xds.upstream_host_metadata"],
                # Fact 6: one list for both directions.
                forward_rules=HeaderForwardingRules(
                    allowed_headers=ListStringMatcher(
                        patterns=[StringMatcher(exact=name) for name in (*REQUEST_HEADERS, *RESPONSE_HEADERS)]
                    )
                ),
                # Fact 9: these defaults admit `:path`, which turns a tag into its digest, and the x-geo-*
                # headers, but not Host, the method or anything that steers Envoy itself.
                mutation_rules=HeaderMutationRules(allow_all_routing=False, allow_envoy=False),
            )
        ),
    )


def past_the_processor() -> dict[str, Any]:
    """Per-route configuration of a route that the processor does not see."""
    return {PROCESSOR_FILTER: Any.pack(ExtProcPerRoute(disabled=True))}


def router() -> HttpFilter:
    return HttpFilter(name="envoy.filters.http.router", typed_config=Any.pack(Router()))


def _another_worker() -> RetryPolicy:
    """A worker killed between two health checks: open the stream at another one, not at it again (fact 10)."""
    return RetryPolicy(
        retry_on="connect-failure,refused-stream,reset,unavailable",
        num_retries=2,
        retry_back_off=BackoffStrategy(
            base_interval=timedelta(milliseconds=1), max_interval=timedelta(milliseconds=10)
        ),
        retry_host_predicate=[
            RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=Any.pack(PreviousHostsPredicate()),
            )
        ],
        # A dead worker has the fewest requests, so LEAST_REQUEST likes it best: with five draws one request of
        # a hundred found no other.
        host_selection_retry_max_attempts=50,
    )
