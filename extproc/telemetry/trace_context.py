"""Which trace a line of the log belongs to.

Source: OpenTelemetry, "Trace Context in non-OTLP Log Formats".
"""

from __future__ import annotations

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.types import EventDict, WrappedLogger


def trace_context(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """A processor of structlog: adds the current span's ids, where one is recorded."""
    span = get_current_span()
    if span.is_recording():
        context = span.get_span_context()
        line["trace_id"] = format_trace_id(context.trace_id)
        line["span_id"] = format_span_id(context.span_id)
        line["trace_flags"] = f"{context.trace_flags:02x}"
    return line
