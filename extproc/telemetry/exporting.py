"""Where spans and metrics go: the settings' choice, unless a standard variable says otherwise.

The SDK reads most of OpenTelemetry's variables by itself (OTEL_EXPORTER_OTLP_…, OTEL_BSP_…, OTEL_METRIC_EXPORT_…,
OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED). Which exporter, protocol, endpoint and sampler is left to who builds it:

OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER     none, console, otlp; several with commas
OTEL_EXPORTER_OTLP_[TRACES_|METRICS_]PROTOCOL   grpc, http/protobuf
OTEL_EXPORTER_OTLP_[TRACES_|METRICS_]ENDPOINT   before `telemetry.otlp_endpoint`
OTEL_TRACES_SAMPLER                             before `telemetry.trace_ratio`

Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final, Literal

from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk import environment_variables as variables
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from extproc import settings as configuration
from extproc.settings import SettingsError

_Signal = Literal["traces", "metrics"]
_EXPORTERS: Final = ("none", "console", "otlp")
_PROTOCOLS: Final = ("grpc", "http/protobuf")


def span_exporters(telemetry: configuration.Telemetry, meters: MeterProvider) -> Iterator[SpanExporter]:
    """`meters` counts what could not be sent. Raises SettingsError for a variable that cannot be used."""
    for kind in _kinds("traces", telemetry):
        if kind == "console":
            yield ConsoleSpanExporter(out=sys.stderr)
        elif _protocol("traces", telemetry) == "grpc":
            # Loaded by who has a collector: the two take a quarter of a second of a worker's start.
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

            yield GrpcSpanExporter(endpoint=_endpoint("traces", telemetry), meter_provider=meters)
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

            yield HttpSpanExporter(endpoint=_endpoint("traces", telemetry, "/v1/traces"), meter_provider=meters)


def metric_exporters(telemetry: configuration.Telemetry) -> Iterator[MetricExporter]:
    """Raises SettingsError for a variable that cannot be used."""
    for kind in _kinds("metrics", telemetry):
        if kind == "console":
            yield ConsoleMetricExporter(out=sys.stderr)
        elif _protocol("metrics", telemetry) == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
                OTLPMetricExporter as GrpcMetricExporter,
            )

            yield GrpcMetricExporter(endpoint=_endpoint("metrics", telemetry))
        else:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
                OTLPMetricExporter as HttpMetricExporter,
            )

            yield HttpMetricExporter(endpoint=_endpoint("metrics", telemetry, "/v1/metrics"))


def sampler(telemetry: configuration.Telemetry) -> Sampler | None:
    """None: as OTEL_TRACES_SAMPLER and its argument say. Else as Envoy decided: a trace is whole or absent."""
    if os.environ.get(variables.OTEL_TRACES_SAMPLER):
        return None
    return ParentBased(TraceIdRatioBased(telemetry.trace_ratio))


def is_parent_based() -> bool:
    """Whether what has an unsampled parent is never sampled."""
    return os.environ.get(variables.OTEL_TRACES_SAMPLER, "parentbased").lower().startswith("parentbased")


def _kinds(signal: _Signal, telemetry: configuration.Telemetry) -> list[str]:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    asked = os.environ.get(name)
    if not asked:
        return [] if telemetry.exporter == "none" else [telemetry.exporter]
    kinds = [kind.strip() for kind in asked.split(",")]
    for kind in kinds:
        _check(name, kind, _EXPORTERS)
    return [kind for kind in kinds if kind != "none"]


def _protocol(signal: _Signal, telemetry: configuration.Telemetry) -> str:
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", variables.OTEL_EXPORTER_OTLP_PROTOCOL):
        if asked := os.environ.get(name):
            return _check(name, asked, _PROTOCOLS)
    return telemetry.otlp_protocol


def _endpoint(signal: _Signal, telemetry: configuration.Telemetry, path: str = "") -> str | None:
    """None: the SDK's business, from its variables or its defaults on this host."""
    names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", variables.OTEL_EXPORTER_OTLP_ENDPOINT)
    given = {name: value for name in names if (value := os.environ.get(name))}
    for name, value in given.items():
        if "@" in value:
            # The exporters name their endpoint in what they log.
            raise SettingsError(
                f"the environment variable {name} has a user or a password: give credentials by "
                f"{variables.OTEL_EXPORTER_OTLP_HEADERS}"
            )
    if telemetry.otlp_endpoint is None or given:
        return None
    return telemetry.otlp_endpoint.rstrip("/") + path


def _check(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise SettingsError(f"the environment variable {name} is {value!r}: it must be one of {', '.join(known)}")
    return value
