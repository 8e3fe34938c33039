"""A span for each question to the store that a traced exchange asks: what the budget was spent on.

Source: OpenTelemetry's semantic conventions for database client spans. An operation of ours is one call of the
store, be it a command, a script or a wait for a turn in a pipeline.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from opentelemetry.semconv.attributes.db_attributes import DB_OPERATION_NAME, DB_SYSTEM_NAME
from opentelemetry.trace import SpanKind, Tracer, get_current_span

_NOTHING: Final[AbstractContextManager[object]] = nullcontext()


class StoreSpans:
    """Call it with the operation's name, and do it within the block."""

    def __init__(self, tracer: Tracer, system: str) -> None:
        """`system`: `redis` or `memory`."""
        self._tracer = tracer
        self._system = system

    def __call__(self, operation: str) -> AbstractContextManager[object]:
        if not get_current_span().is_recording():
            return _NOTHING
        return self._tracer.start_as_current_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes={DB_SYSTEM_NAME: self._system, DB_OPERATION_NAME: operation},
            record_exception=False,
        )
