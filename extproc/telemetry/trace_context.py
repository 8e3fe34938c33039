"""Which trace a line of the log belongs to.

Source: OpenTelemetry, "Trace Context in non-OTLP Log Formats".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, format_span_id, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.types import EventDict, WrappedLogger

_PROPAGATOR: Final = TraceContextTextMapPropagator()


def trace_context(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """A processor of structlog: adds the current span's ids, where there is one."""
    span = get_current_span()
    # In a task that was begun within a span it stays current after its end: what is written then is not its own.
    if span.is_recording() or isinstance(span, NonRecordingSpan):
        context = span.get_span_context()
        if context.is_valid:
            line["trace_id"] = format_trace_id(context.trace_id)
            line["span_id"] = format_span_id(context.span_id)
            line["trace_flags"] = f"{context.trace_flags:02x}"
    return line


@contextmanager
def of_caller(traceparent: str) -> Iterator[None]:
    """What is written within belongs to the span of who called us: `traceparent` (W3C), or nobody's if it is none."""
    token = contexts.attach(_PROPAGATOR.extract({"traceparent": traceparent}, Context()))
    try:
        yield
    finally:
        contexts.detach(token)
