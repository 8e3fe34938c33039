"""One span and one count per decision, both with the reason; and one of what would have been decided."""

from __future__ import annotations

from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from extproc.routing.decision import Forward, Refuse
from extproc.routing.router import Routed
from extproc.telemetry import names


class DecisionRecorder:
    """Records decisions with a tracer and a meter of the opentelemetry SDK. Never raises for an exporter."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._decisions = meter.create_counter(names.DECISIONS, unit="{decision}", description="Decisions made")
        self._forecast = meter.create_counter(
            names.FORECAST, unit="{decision}", description="Decisions that mode serve would have made"
        )
        self._propagator = TraceContextTextMapPropagator()

    def decided(self, routed: Routed, started_ns: int, traceparent: str) -> None:
        """`started_ns`: Unix time in nanoseconds; `traceparent`: W3C trace context of the stream, or empty."""
        decision = routed.decision
        attributes = _attributes(decision, routed)
        self._decisions.add(1, attributes)
        would = decision.would if isinstance(decision, Forward) else None
        if isinstance(decision, Forward) and would is not None:
            self._forecast.add(1, {**_attributes(would, routed), names.PRESENT: decision.would_find})
        context = self._propagator.extract({"traceparent": traceparent}) if traceparent else None
        span = self._tracer.start_span(
            names.DECISION_SPAN,
            context=context,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=started_ns,
        )
        if span.is_recording() and routed.operation.name is not None:
            # Names are unbounded: they may go on a span, never on a metric.
            span.set_attribute(names.REPOSITORY, str(routed.operation.name))
        if would is not None:
            span.set_attribute(names.WOULD_REASON, would.reason.value)
        span.end()


def _attributes(decision: Forward | Refuse, routed: Routed) -> dict[str, str]:
    return {
        names.REASON: decision.reason.value,
        names.ROUTE: decision.route.value if isinstance(decision, Forward) else "refused",
        names.OPERATION: routed.operation.kind.value,
    }
