"""Each exchange as it is seen from outside: a span where it is traced; counts and a duration always.

The span lasts from the request's head to our reply, in which all the time that we add is spent. The response phase
has one of its own below it, for what lies between is the registry's time. So no span is open while nothing of ours
runs, and an exchange that ends without a word leaves none.

Names and attributes: OpenTelemetry's semantic conventions for RPC (server spans) and HTTP; `geo.…` where they have
none.
"""

from __future__ import annotations

from time import perf_counter
from types import TracebackType
from typing import Final, Self

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.semconv._incubating.attributes.rpc_attributes import RPC_METHOD, RPC_SYSTEM_NAME
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context

from extproc.routing.decision import Forward, Route
from extproc.routing.message import RequestHead, ResponseHead, Unread
from extproc.routing.reason import Reason
from extproc.routing.router import Routed
from extproc.telemetry import names
from extproc.telemetry.distribution import Distributions
from extproc.telemetry.journal import Journal
from extproc.telemetry.sampling import Sampling
from extproc.telemetry.tally import Tally, counter_of
from extproc.telemetry.words import REFUSED, decision_words, lease_age, reference_word, token_word, would_of

_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
"""Buckets' bounds: our own work takes a fraction of a millisecond, a store that fails its budget."""
_AGES: Final = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 300, 600, 3600)
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""Others are `_OTHER` by the convention: what a client makes up names no series and no span."""


class ExchangeRecorder:
    """Records with a tracer and a meter of the opentelemetry SDK. Never raises for an exporter."""

    def __init__(self, tracer: Tracer, meter: Meter, sampling: Sampling, distributions: Distributions) -> None:
        self._tracer = tracer
        self._sampling = sampling
        self.journal = journal = Journal()
        """For who looks at this process now."""
        made = (names.REASON, names.ROUTE, names.OPERATION)
        counter_of(
            lambda: journal.sums(lambda decided: decided.words),
            meter,
            names.DECISIONS,
            made,
            unit="{decision}",
            description="Decisions made",
        )
        counter_of(
            lambda: journal.sums(lambda decided: decided.would_words),
            meter,
            names.FORECAST,
            (*made, names.PRESENT),
            unit="{decision}",
            description="Decisions that mode serve would have made",
        )
        counter_of(
            lambda: journal.sums(lambda decided: (decided.token,)),
            meter,
            names.TOKENS,
            (names.TOKEN,),
            unit="{token}",
            description="Tokens judged",
        )
        counter_of(
            lambda: journal.sums(lambda decided: (decided.reference, decided.found) if decided.found else None),
            meter,
            names.LOOKUPS,
            (names.REFERENCE, names.OUTCOME),
            unit="{lookup}",
            description="Evidence asked for",
        )
        self._fallbacks = Tally(
            meter,
            names.FALLBACKS,
            (names.REASON,),
            unit="{exchange}",
            description="Answers of the primary to what was routed to the secondary, of those that we see",
        )
        self._durations = distributions.make(
            names.DURATION,
            (names.PHASE, names.ROUTE),
            _SECONDS,
            unit="s",
            description="From a head to our reply",
        )
        self._ages = distributions.make(
            names.LEASE_AGE,
            (),
            _AGES,
            unit="s",
            description="Age of the lease that a read by tag was answered by",
        )

    def deciding(self, head: RequestHead, traceparent: str | Unread) -> Deciding:
        """The request phase. `traceparent`: the W3C trace context of the stream, or empty."""
        parent = self._sampling.parent(traceparent, head.traceparent)
        if parent is None:
            return Deciding(self, None)
        span = self._tracer.start_span(
            names.EXCHANGE_SPAN,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                RPC_SYSTEM_NAME: "grpc",
                RPC_METHOD: names.EXCHANGE_SPAN,
                HTTP_REQUEST_METHOD: head.method if head.method in _METHODS else "_OTHER",
            },
        )
        return Deciding(self, span if span.is_recording() else None)

    def count(self, routed: Routed, seconds: float) -> None:
        """One decision, made in that time."""
        decision = routed.decision
        self.journal.note(routed)
        if decision.reason is Reason.TAG_VERIFIED and (age := lease_age(routed)) is not None:
            self._ages.record(age)
        route = decision.route.word if isinstance(decision, Forward) else REFUSED
        self._durations.record(seconds, "request", route)

    def count_answer(self, routed: Routed, head: ResponseHead, seconds: float) -> None:
        """One response phase."""
        decision = routed.decision
        if isinstance(decision, Forward):
            if decision.route is Route.SECONDARY and head.site == "primary":
                self._fallbacks.add(decision.reason.word)
            self._durations.record(seconds, "response", decision.route.word)

    def start_child(self, parent: Span) -> Span:
        return self._tracer.start_span(names.OBSERVE_SPAN, context=set_span_in_context(parent, Context()))


class _Phase:
    """While it is entered its span, if there is one, is the current one: what is done for it becomes its child."""

    __slots__ = ("_began", "_recorder", "_token", "span")

    def __init__(self, recorder: ExchangeRecorder, span: Span | None) -> None:
        self._recorder = recorder
        self.span = span
        self._token: object = None
        self._began = perf_counter()

    @property
    def traced(self) -> bool:
        return self.span is not None

    def __enter__(self) -> Self:
        if self.span is not None:
            self._token = contexts.attach(set_span_in_context(self.span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.span is None:
            return
        contexts.detach(self._token)  # type: ignore[arg-type]
        if isinstance(error, Exception):
            self.span.set_status(StatusCode.ERROR, type(error).__name__)
        self.span.end()

    def _seconds(self) -> float:
        return perf_counter() - self._began


class Deciding(_Phase):
    """The request phase of one exchange."""

    __slots__ = ()

    def decided(self, routed: Routed) -> None:
        self._recorder.count(routed, self._seconds())
        if self.span is None:
            return
        decision = routed.decision
        reason, route, operation = decision_words(decision, routed)
        would = would_of(decision)
        found: dict[str, str | float | None] = {
            names.REASON: reason,
            names.ROUTE: route,
            names.OPERATION: operation,
            names.TOKEN: token_word(routed),
            # Names are unbounded: they may go on a span, never on a metric.
            names.REPOSITORY: None if routed.operation.name is None else str(routed.operation.name),
            names.REFERENCE: reference_word(routed) or None,
            names.AGE: lease_age(routed),
            names.WOULD_REASON: None if would is None else would.reason.value,
        }
        self.span.set_attributes({name: value for name, value in found.items() if value is not None})

    def observing(self, routed: Routed, head: ResponseHead) -> Observing:
        """The response phase, after this one has ended."""
        return Observing(
            self._recorder, None if self.span is None else self._recorder.start_child(self.span), routed, head
        )


class Observing(_Phase):
    """The response phase of one exchange."""

    __slots__ = ("_head", "_routed")

    def __init__(self, recorder: ExchangeRecorder, span: Span | None, routed: Routed, head: ResponseHead) -> None:
        super().__init__(recorder, span)
        self._routed = routed
        self._head = head

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.count_answer(self._routed, self._head, self._seconds())
        if self.span is not None:
            self.span.set_attributes(
                {
                    names.SITE: self._head.site,
                    names.ATTEMPTS: self._head.attempts,
                    HTTP_RESPONSE_STATUS_CODE: self._head.status,
                }
            )
        super().__exit__(kind, error, trace)
