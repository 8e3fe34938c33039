"""Envoy's own spans, to the collector that the processor's go to: one trace shows both, and the upstream's where
it has spans of its own.

Envoy passes its trace context on to the upstream in the request, and to the processor in the metadata of the stream
(fact 12).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import (
    GrpcService,
    GrpcServiceEnvoyGrpc,
    HttpService,
    HttpUri,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.trace.v3 import OpenTelemetryConfig, TracingHttp
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManagerTracing
from envoy_data_plane.envoy.extensions.tracers.opentelemetry.samplers.v3 import (
    ParentBasedSamplerConfig,
    TraceIdRatioBasedSamplerConfig,
)
from envoy_data_plane.envoy.type.tracing.v3 import CustomTag
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType, Percent
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import endpoints, protocol, tls
from extproc.bootstrap.names import COLLECTOR, seconds
from extproc.settings import Settings, Site, Telemetry

SERVICE: Final = "geo-extproc-envoy"
"""`service.name` of Envoy's spans."""
_WITHIN: Final = timedelta(seconds=10)
"""OTEL_EXPORTER_OTLP_TIMEOUT's default."""


def tracing(telemetry: Telemetry) -> HttpConnectionManagerTracing | None:
    """None without a collector in the settings: Envoy reads no OTEL_ variable."""
    if _endpoint(telemetry) is None:
        return None
    return HttpConnectionManagerTracing(
        # The sampler decides. By itself Envoy would follow a sampled parent only as often as by chance.
        random_sampling=Percent(value=100),
        # A client may ask for a trace by its context, as everywhere, but not by x-client-trace-id.
        client_sampling=Percent(value=0),
        overall_sampling=Percent(value=100),
        # A span of its own for each upstream request: which site, which attempt.
        spawn_upstream_span=True,
        # Envoy's own `http.url` would have the query, in which some clients send what is nobody's business.
        max_path_tag_length=0,
        custom_tags=[CustomTag(tag="url.path", value="%PATH(NQ)%")],
        provider=TracingHttp(name="envoy.tracers.opentelemetry", typed_config=Any.pack(_tracer(telemetry))),
    )


def collector(settings: Settings) -> list[Cluster]:
    """The cluster, where there is one."""
    telemetry = settings.telemetry
    site = _endpoint(telemetry)
    if site is None:
        return []
    grpc = telemetry.otlp_protocol == "grpc"
    return [
        Cluster(
            name=COLLECTOR,
            type=endpoints.discovery(site.endpoint),
            connect_timeout=seconds(settings.envoy.connect_timeout),
            load_assignment=endpoints.assignment(COLLECTOR, endpoints.plain(endpoints.address(site.endpoint))),
            transport_socket=tls.upstream(site, alpn="h2" if grpc else "http/1.1"),
            typed_extension_protocol_options=protocol.http2(100) if grpc else protocol.http1(),
        )
    ]


def _tracer(telemetry: Telemetry) -> OpenTelemetryConfig:
    if telemetry.otlp_protocol == "grpc":
        service = GrpcService(envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=COLLECTOR), timeout=_WITHIN)
        return OpenTelemetryConfig(grpc_service=service, service_name=SERVICE, sampler=_sampler(telemetry))
    url = f"{(telemetry.otlp_endpoint or '').rstrip('/')}/v1/traces"
    return OpenTelemetryConfig(
        http_service=HttpService(http_uri=HttpUri(uri=url, cluster=COLLECTOR, timeout=_WITHIN)),
        service_name=SERVICE,
        sampler=_sampler(telemetry),
    )


def _sampler(telemetry: Telemetry) -> TypedExtensionConfig:
    """As the parent was, else by chance: ParentBased(TraceIdRatioBased), as the processor itself."""
    by_chance = TraceIdRatioBasedSamplerConfig(
        sampling_percentage=FractionalPercent(
            numerator=round(1_000_000 * telemetry.trace_ratio), denominator=FractionalPercentDenominatorType.MILLION
        )
    )
    return TypedExtensionConfig(
        name="envoy.tracers.opentelemetry.samplers.parent_based",
        typed_config=Any.pack(
            ParentBasedSamplerConfig(
                wrapped_sampler=TypedExtensionConfig(
                    name="envoy.tracers.opentelemetry.samplers.trace_id_ratio_based", typed_config=Any.pack(by_chance)
                )
            )
        ),
    )


def _endpoint(telemetry: Telemetry) -> Site | None:
    if telemetry.exporter != "otlp" or telemetry.otlp_endpoint is None:
        return None
    scheme, _, rest = telemetry.otlp_endpoint.partition("://")
    return Site(url=f"{scheme}://{rest.partition('/')[0]}")
