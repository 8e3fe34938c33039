"""Builds the opentelemetry providers and configures the log, once per process."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal
from uuid import uuid4

import structlog
from opentelemetry.metrics import Meter
from opentelemetry.sdk import environment_variables as variables
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from extproc import settings as configuration
from extproc.form import is_compiled
from extproc.telemetry import names
from extproc.telemetry.distribution import Distributions, QuickDistributions, SdkDistributions, quick_will_do
from extproc.telemetry.exporting import is_parent_based, metric_exporters, sampler, span_exporters
from extproc.telemetry.gauge import gauge
from extproc.telemetry.log_lines import LogLines, standard_error
from extproc.telemetry.prometheus import Exposition
from extproc.telemetry.reader import PeriodicReader
from extproc.telemetry.sampling import HeadSampling, NoSampling, Sampling
from extproc.telemetry.standard_log import StandardLog
from extproc.telemetry.trace_context import trace_context

_CLOSE_WITHIN: Final = 1.0
"""Seconds in which the collector may take the last spans, and as many for the last metrics: with the store's last
tries (parts.py) less than a supervisor waits for its workers."""

_VERSION: Final = version("geo-extproc")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The process's providers. No global is set, so that tests and embedders keep theirs."""

    tracers: TracerProvider
    meters: MeterProvider
    sampling: Sampling
    exposition: Exposition
    """For whoever scrapes."""
    distributions: Distributions

    @property
    def tracer(self) -> Tracer:
        return self.tracers.get_tracer(names.SERVICE)

    @property
    def meter(self) -> Meter:
        return self.meters.get_meter(names.SERVICE)

    def close(self) -> None:
        """Flush and stop the exporters, in a bounded time: what a collector does not take by then is lost.

        The SDK's own bound for spans is 30 s and cannot be chosen.
        """
        # Spans first: what becomes of them is counted.
        for close in (self.tracers.shutdown, self.meters.shutdown):
            thread = threading.Thread(target=close, daemon=True)
            thread.start()
            thread.join(_CLOSE_WITHIN)
            if thread.is_alive():
                log.warning("the collector did not take the last spans or metrics; leaving them")


def build_telemetry(telemetry: configuration.Telemetry) -> Telemetry:
    """Raises SettingsError for a standard variable of OpenTelemetry that cannot be used."""
    resource = _resource()
    quick = QuickDistributions()
    exposition = Exposition(quick)
    readers: list[MetricReader] = [exposition.reader]
    readers += [PeriodicReader(quick, exporter) for exporter in metric_exporters(telemetry)]
    # Exemplars would take half of each measurement's time.
    exemplars = None if os.environ.get(variables.OTEL_METRICS_EXEMPLAR_FILTER) else AlwaysOffExemplarFilter()
    meters = MeterProvider(readers, resource=resource, exemplar_filter=exemplars, shutdown_on_exit=False)
    build = (
        ("service.version", _VERSION),
        ("process.runtime.version", platform.python_version()),
        (names.COMPILED, str(is_compiled()).lower()),
    )
    gauge(meters.get_meter(names.SERVICE), names.BUILD, lambda: {build: 1})
    tracers = TracerProvider(resource=resource, sampler=sampler(telemetry), shutdown_on_exit=False)
    traced = False
    with _counting_losses():
        for exporter in span_exporters(telemetry, meters):
            tracers.add_span_processor(BatchSpanProcessor(exporter, meter_provider=meters))
            traced = True
    sampling = HeadSampling(parent_based=is_parent_based()) if traced else NoSampling()
    distributions = quick if quick_will_do() else SdkDistributions(meters.get_meter(names.SERVICE))
    return Telemetry(tracers, meters, sampling, exposition, distributions)


@contextmanager
def _counting_losses() -> Iterator[None]:
    """What is built meanwhile counts spans that found the queue full or could not be sent: `otel.sdk.processor.…` and
    `otel.sdk.exporter.…` of the semantic conventions. Only a variable asks the SDK for it; not for all it builds."""
    name = variables.OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
    if name in os.environ:
        yield
        return
    os.environ[name] = "true"
    try:
        yield
    finally:
        del os.environ[name]


def _resource() -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first. Each process is an instance of its own."""
    ours = {
        "service.name": names.SERVICE,
        "service.version": _VERSION,
        "service.instance.id": str(uuid4()),
    }
    given = Resource.create()
    # Without a name the SDK makes up "unknown_service".
    named = {key for key, value in given.attributes.items() if not str(value).startswith("unknown_service")}
    return given.merge(Resource({key: value for key, value in ours.items() if key not in named}))


def configure_log(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Structured lines on standard error: standard output belongs to commands' results."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            trace_context,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _renderer(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(LogLines(standard_error())),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    logger = logging.getLogger()
    if not any(isinstance(handler, StandardLog) for handler in logger.handlers):
        logger.addHandler(StandardLog())


def _renderer(form: Literal["auto", "json", "text"]) -> structlog.types.Processor:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if form == "json" or (form == "auto" and not terminal):
        return structlog.processors.JSONRenderer()
    # https://no-color.org: set and not empty.
    colors = terminal and not os.environ.get("NO_COLOR")
    # Its own way to show a fault would show the values of variables, tokens among them.
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
