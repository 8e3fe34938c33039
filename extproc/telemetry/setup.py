"""Builds the opentelemetry providers and configures the log, once per process."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Literal

import structlog
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from extproc.telemetry import names
from extproc.telemetry.log_lines import LogLines, standard_error


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The process's providers. No global is set, so that tests and embedders keep theirs."""

    tracers: TracerProvider
    meters: MeterProvider

    @property
    def tracer(self) -> Tracer:
        return self.tracers.get_tracer(names.SERVICE)

    @property
    def meter(self) -> Meter:
        return self.meters.get_meter(names.SERVICE)

    def close(self) -> None:
        """Flush and stop the exporters."""
        self.tracers.shutdown()
        self.meters.shutdown()


def build_telemetry(exporter: Literal["none", "console"], trace_ratio: float) -> Telemetry:
    """`trace_ratio` decides where the caller's trace context does not; `console` writes to standard error."""
    resource = Resource.create({"service.name": names.SERVICE})
    # Head sampling as Envoy decided it: a trace is whole or absent.
    tracers = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(trace_ratio)))
    readers: list[MetricReader] = []
    if exporter == "console":
        tracers.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr)))
    return Telemetry(tracers, MeterProvider(readers, resource=resource))


def configure_log(level: str, form: Literal["json", "text"]) -> None:
    """Structured lines on standard error: standard output belongs to commands' results."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(LogLines(standard_error())),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
