"""Logs, spans and metrics."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from extproc.settings.section import Section


class Telemetry(Section):
    """Logs, spans and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are written, to standard error."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """json: one object a line. text: for reading. auto: text at a terminal, else json."""
    trace_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of decisions traced where the caller's trace context does not decide."""
    exporter: Literal["none", "console", "otlp"] = "none"
    """Where spans and metrics go. console: standard error. otlp: a collector. OTEL_TRACES_EXPORTER and
    OTEL_METRICS_EXPORTER come before it."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$")] | None = None
    """The collector's URL: `http://collector:4317`. By default, and before this setting, OpenTelemetry's standard
    variables (OTEL_EXPORTER_OTLP_ENDPOINT), else this host at the protocol's port. Credentials have their place in
    OTEL_EXPORTER_OTLP_HEADERS."""
    otlp_protocol: Literal["grpc", "http/protobuf"] = "grpc"
    """What the collector speaks there; by convention grpc at port 4317, http/protobuf at 4318."""
