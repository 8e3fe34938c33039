"""One span and one counter for each decision, with the same reason, and no name where it could flood a metric."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from extproc.auth.grant import Rejection
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.oci.parse import parse_operation
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.router import Routed, Router
from extproc.telemetry.recorder import DecisionRecorder
from tests.support.clock import Clock
from tests.support.heads import request

SECRET = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
TRACE, PARENT = "1" * 32, "2" * 16


@dataclass
class Watched:
    """A recorder and what it exported."""

    sampler: Sampler = field(default_factory=lambda: ALWAYS_ON)

    def __post_init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(sampler=self.sampler)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.recorder = DecisionRecorder(tracers.get_tracer("test"), MeterProvider([self.reader]).get_meter("test"))

    def decided(self, decision: Forward | Refuse, method: str, path: str, traceparent: str = "") -> None:
        self.recorder.decided(Routed(parse_operation(method, path), decision), 5_000_000_000, traceparent)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def points(self) -> list[tuple[str, dict[str, Any], float]]:
        data = self.reader.get_metrics_data()
        return [
            (metric.name, dict(point.attributes or {}), point.value)  # type: ignore[union-attr]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]


@pytest.mark.parametrize(
    ("decision", "method", "path", "attributes", "repository"),
    [
        pytest.param(
            Forward(Route.SECONDARY, Reason.TAG_VERIFIED),
            "GET",
            "/v2/g/app/manifests/latest",
            {"geo.reason": "tag-verified", "geo.route": "secondary", "geo.operation": "manifest"},
            "g/app",
            id="served here",
        ),
        pytest.param(
            Forward(Route.PRIMARY, Reason.WRITE),
            "PUT",
            "/v2/g/app/manifests/latest",
            {"geo.reason": "write", "geo.route": "primary", "geo.operation": "manifest-put"},
            "g/app",
            id="a write",
        ),
        pytest.param(
            Refuse(401, Reason.TOKEN_MISSING),
            "GET",
            "/v2/",
            {"geo.reason": "token-missing", "geo.route": "refused", "geo.operation": "api-base"},
            None,
            id="refused, without a name",
        ),
    ],
)
def test_one_span_and_one_count(
    decision: Forward | Refuse, method: str, path: str, attributes: dict[str, str], repository: str | None
) -> None:
    watched = Watched()
    watched.decided(decision, method, path)
    (span,) = watched.spans
    expected = dict(attributes) if repository is None else {**attributes, "geo.repository": repository}
    assert (span.name, span.kind) == ("geo_extproc.decide", SpanKind.SERVER)
    assert dict(span.attributes or {}) == expected
    assert span.start_time == 5_000_000_000
    assert span.end_time is not None
    assert span.end_time > span.start_time
    assert watched.points == [("geo_extproc.decisions", attributes, 1)]


@pytest.mark.parametrize(
    ("decision", "forecast"),
    [
        pytest.param(
            Forward(
                Route.PRIMARY,
                Reason.MODE_OBSERVE,
                would=Forward(Route.SECONDARY, Reason.TAG_VERIFIED),
                would_find=True,
            ),
            {"geo.reason": "tag-verified", "geo.route": "secondary", "geo.present": True},
            id="here, and it is here",
        ),
        pytest.param(
            Forward(Route.PRIMARY, Reason.MODE_OBSERVE, would=Forward(Route.SECONDARY, Reason.DIGEST_UNKNOWN)),
            {"geo.reason": "digest-unknown", "geo.route": "secondary", "geo.present": False},
            id="here, if it is here",
        ),
        pytest.param(
            Forward(Route.PRIMARY, Reason.TAG_STALE, would=Forward(Route.PRIMARY, Reason.TAG_STALE)),
            {"geo.reason": "tag-stale", "geo.route": "primary", "geo.present": False},
            id="the same",
        ),
        pytest.param(
            Forward(Route.PRIMARY, Reason.MODE_PRIMARY_ONLY, would=Refuse(401, Reason.TOKEN_INVALID)),
            {"geo.reason": "token-invalid", "geo.route": "refused", "geo.present": False},
            id="refused",
        ),
    ],
)
def test_what_would_be_is_counted_apart(decision: Forward, forecast: dict[str, object]) -> None:
    watched = Watched()
    watched.decided(decision, "GET", "/v2/g/app/manifests/latest")
    (span,) = watched.spans
    assert span.attributes is not None
    assert span.attributes["geo.reason"] == decision.reason.value
    assert span.attributes["geo.would_reason"] == forecast["geo.reason"]
    made = {"geo.reason": decision.reason.value, "geo.route": "primary", "geo.operation": "manifest"}
    assert watched.points == [
        ("geo_extproc.decisions", made, 1),
        ("geo_extproc.rollout.forecast", {**forecast, "geo.operation": "manifest"}, 1),
    ]


def test_counts_add_up_by_reason_whatever_the_name() -> None:
    watched = Watched()
    for number in range(50):
        watched.decided(Forward(Route.PRIMARY, Reason.PUSH_TOKEN), "GET", f"/v2/g/app-{number}/manifests/v{number}")
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list")
    assert sorted(value for _, _, value in watched.points) == [1, 50]
    assert "app-" not in repr(watched.points)


@pytest.mark.parametrize(
    ("traceparent", "spans"),
    [
        pytest.param(f"00-{TRACE}-{PARENT}-01", 1, id="sampled"),
        pytest.param(f"00-{TRACE}-{PARENT}-00", 0, id="not sampled"),
    ],
)
@pytest.mark.parametrize("root", [ALWAYS_ON, ALWAYS_OFF])
def test_the_callers_sampling_is_kept(root: Sampler, traceparent: str, spans: int) -> None:
    watched = Watched(ParentBased(root))
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list", traceparent)
    assert len(watched.spans) == spans
    for span in watched.spans:
        assert span.parent is not None
        assert format_trace_id(span.parent.trace_id) == TRACE
        assert format_span_id(span.parent.span_id) == PARENT
        assert span.context is not None
        assert format_trace_id(span.context.trace_id) == TRACE
    # Whether it is traced or not, it is counted.
    assert [value for _, _, value in watched.points] == [1]


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_without_a_usable_context_the_span_is_a_root(traceparent: str) -> None:
    watched = Watched()
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list", traceparent)
    (span,) = watched.spans
    assert span.parent is None


async def test_threat_no_token_is_recorded() -> None:
    class Invalid:
        def verify(self, authorization: object, now: float) -> Rejection:
            return Rejection.INVALID

    store = MemoryStore(absent_ttl=5, clock=Clock())
    router = Router(verifier=Invalid(), facts=store, writes=Backlog(store), policy=Policy(), now=Clock())
    watched = Watched()
    for path in (f"/v2/g/app/manifests/latest?token={SECRET}", "/v2/g/app/blobs/uploads/?_state=" + SECRET):
        routed = await router.route(request("GET", path, token=SECRET))
        watched.recorder.decided(routed, 1, "")
    assert len(watched.spans) == 2
    shown = "".join(span.to_json() for span in watched.spans) + repr(watched.points)
    assert SECRET not in shown
    assert "token-invalid" in shown
