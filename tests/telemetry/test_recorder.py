"""What is recorded of an exchange: the same reason everywhere, and no name where it could flood a metric."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from extproc.auth.grant import Grant, Rejection
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Lease, Snapshot, Unavailable
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.message import ResponseHead
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.router import Routed, Router
from extproc.telemetry.distribution import SdkDistributions
from extproc.telemetry.recorder import ExchangeRecorder
from extproc.telemetry.sampling import HeadSampling, NoSampling, Sampling
from tests.support.clock import Clock
from tests.support.heads import INDEX, request, response

SECRET = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
TRACE, PARENT = "1" * 32, "2" * 16


@dataclass
class Watched:
    """A recorder and what it exported."""

    sampler: Sampler = field(default_factory=lambda: ALWAYS_ON)
    sampling: Sampling = field(default_factory=lambda: HeadSampling(parent_based=True))

    def __post_init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(sampler=self.sampler)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meter = MeterProvider([self.reader]).get_meter("test")
        self.recorder = ExchangeRecorder(tracers.get_tracer("test"), meter, self.sampling, SdkDistributions(meter))

    def decided(
        self,
        decision: Forward | Refuse,
        method: str,
        path: str,
        traceparent: str = "",
        *,
        older: str = "",
        answer: ResponseHead | None = None,
        **routed: Any,
    ) -> None:
        """One exchange, with its response phase if there is an `answer`. `older`: the client's own trace context."""
        head = replace(request(method, path), traceparent=older)
        found = Routed(parse_operation(method, path), decision, **routed)
        with self.recorder.deciding(head, traceparent) as recording:
            recording.decided(found)
        if answer is not None:
            with recording.observing(found, answer):
                pass

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def points(self) -> list[tuple[str, dict[str, Any], float]]:
        """Of counters their values, of histograms their sums."""
        data = self.reader.get_metrics_data()
        return [
            (metric.name, dict(point.attributes or {}), point.value if hasattr(point, "value") else point.sum)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def counted(self, *metrics: str) -> list[tuple[str, dict[str, Any], float]]:
        """The points of these alone."""
        return [point for point in self.points if point[0] in metrics]


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
    expected = {
        **attributes,
        "rpc.system.name": "grpc",
        "rpc.method": "envoy.service.ext_proc.v3.ExternalProcessor/Process",
        "http.request.method": method,
        "geo.token": "passthrough",
    }
    if repository is not None:
        expected |= {"geo.repository": repository, "geo.reference": "tag"}
    assert (span.name, span.kind) == ("envoy.service.ext_proc.v3.ExternalProcessor/Process", SpanKind.SERVER)
    assert dict(span.attributes or {}) == expected
    assert watched.counted("geo_extproc.decisions") == [("geo_extproc.decisions", attributes, 1)]
    ((_, where, seconds),) = watched.counted("geo_extproc.exchange.duration")
    assert where == {"geo.phase": "request", "geo.route": attributes["geo.route"]}
    assert seconds > 0


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
    assert watched.counted("geo_extproc.decisions", "geo_extproc.rollout.forecast") == [
        ("geo_extproc.decisions", made, 1),
        ("geo_extproc.rollout.forecast", {**forecast, "geo.operation": "manifest"}, 1),
    ]


def test_counts_add_up_by_reason_whatever_the_name() -> None:
    watched = Watched()
    for number in range(50):
        watched.decided(Forward(Route.PRIMARY, Reason.PUSH_TOKEN), "GET", f"/v2/g/app-{number}/manifests/v{number}")
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list")
    assert sorted(value for _, _, value in watched.counted("geo_extproc.decisions")) == [1, 50]
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
    assert [value for _, _, value in watched.counted("geo_extproc.decisions")] == [1]


def test_the_clients_context_is_the_parent_where_envoy_sends_none() -> None:
    watched = Watched()
    listing = Forward(Route.PRIMARY, Reason.LISTING)
    envoys, clients = f"00-{TRACE}-{PARENT}-01", f"00-{'3' * 32}-{'4' * 16}-01"
    watched.decided(listing, "GET", "/v2/g/app/tags/list", envoys, older=clients)
    watched.decided(listing, "GET", "/v2/g/app/tags/list", "", older=clients)
    assert [format_trace_id(span.context.trace_id) for span in watched.spans if span.context] == [TRACE, "3" * 32]


def test_a_sampler_that_asks_no_parent_is_asked_about_all() -> None:
    watched = Watched(sampling=HeadSampling(parent_based=False))
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list", f"00-{TRACE}-{PARENT}-00")
    assert len(watched.spans) == 1


def test_without_an_exporter_there_is_no_span() -> None:
    watched = Watched(sampling=NoSampling())
    watched.decided(Forward(Route.PRIMARY, Reason.LISTING), "GET", "/v2/g/app/tags/list", f"00-{TRACE}-{PARENT}-01")
    assert watched.spans == ()
    assert len(watched.counted("geo_extproc.decisions")) == 1


LEASED = Evidence(
    Snapshot(b"e", b"g", 0),
    marked=False,
    lease=Lease(Digest("sha256:" + "a" * 64), INDEX, 12.5),
    digest=DigestState.PRESENT,
)
HERE = Forward(Route.SECONDARY, Reason.TAG_VERIFIED)
TAG = "/v2/g/app/manifests/latest"


def test_a_response_phase_has_a_span_below_the_others_and_shows_a_fallback() -> None:
    watched = Watched()
    watched.decided(HERE, "GET", TAG, answer=response(200, "primary", attempts=2), evidence=LEASED)
    request_phase, response_phase = watched.spans
    assert response_phase.name == "geo_extproc.observe"
    assert response_phase.parent is not None
    assert request_phase.context is not None
    assert response_phase.parent.span_id == request_phase.context.span_id
    assert dict(response_phase.attributes or {}) == {
        "geo.site": "primary",
        "geo.attempts": 2,
        "http.response.status_code": 200,
    }
    assert watched.counted("geo_extproc.fallbacks") == [("geo_extproc.fallbacks", {"geo.reason": "tag-verified"}, 1)]
    assert [where["geo.phase"] for _, where, _ in watched.counted("geo_extproc.exchange.duration")] == [
        "request",
        "response",
    ]


def test_an_answer_of_the_site_that_was_meant_is_no_fallback() -> None:
    watched = Watched()
    watched.decided(HERE, "GET", TAG, answer=response(200, "secondary"))
    watched.decided(Forward(Route.PRIMARY, Reason.TAG_STALE), "GET", TAG, answer=response(200, "primary"))
    assert watched.counted("geo_extproc.fallbacks") == []


@pytest.mark.parametrize(
    ("path", "evidence", "reference", "outcome"),
    [
        pytest.param(TAG, LEASED, "tag", "hit", id="a lease"),
        pytest.param(TAG, replace(LEASED, lease=None), "tag", "miss", id="no lease"),
        pytest.param(TAG, Unavailable("slow"), "tag", "unavailable", id="no answer"),
        pytest.param("/v2/g/app/blobs/sha256:" + "b" * 64, LEASED, "digest", "hit", id="a digest"),
        pytest.param(
            "/v2/g/app/blobs/sha256:" + "b" * 64,
            replace(LEASED, lease=None, digest=DigestState.UNKNOWN),
            "digest",
            "miss",
            id="an unknown digest",
        ),
    ],
)
def test_lookups(path: str, evidence: Evidence | Unavailable, reference: str, outcome: str) -> None:
    watched = Watched()
    watched.decided(HERE, "GET", path, evidence=evidence)
    expected = {"geo.reference": reference, "geo.outcome": outcome}
    assert watched.counted("geo_extproc.evidence.lookups") == [("geo_extproc.evidence.lookups", expected, 1)]
    ages = watched.counted("geo_extproc.evidence.lease_age")
    if isinstance(evidence, Evidence) and evidence.lease is not None:
        assert [age for _, _, age in ages] == [12.5]
        (span,) = watched.spans
        assert (span.attributes or {})["geo.lease_age"] == 12.5
    else:
        assert ages == []


def test_what_asks_for_no_evidence_is_no_lookup() -> None:
    watched = Watched()
    watched.decided(Forward(Route.PRIMARY, Reason.WRITE), "PUT", TAG)
    assert watched.counted("geo_extproc.evidence.lookups") == []


@pytest.mark.parametrize(
    ("credential", "decision", "word"),
    [
        (None, HERE, "passthrough"),
        (Grant(frozenset(), 0.0), HERE, "verified"),
        (Grant(frozenset(), 0.0), Refuse(401, Reason.SCOPE_INSUFFICIENT), "insufficient"),
        *((each, Refuse(401, Reason.TOKEN_INVALID), each.value) for each in Rejection),
    ],
)
def test_tokens(credential: Grant | Rejection | None, decision: Forward | Refuse, word: str) -> None:
    watched = Watched()
    watched.decided(decision, "GET", TAG, credential=credential)
    assert watched.counted("geo_extproc.tokens") == [("geo_extproc.tokens", {"geo.token": word}, 1)]


def test_a_method_that_a_client_makes_up_names_nothing() -> None:
    watched = Watched()
    watched.decided(Forward(Route.PRIMARY, Reason.UNKNOWN_OPERATION), "FROB", "/v2/")
    (span,) = watched.spans
    assert (span.attributes or {})["http.request.method"] == "_OTHER"


def test_what_is_done_meanwhile_is_a_child_and_a_fault_is_an_error() -> None:
    watched = Watched()
    with pytest.raises(ValueError, match="of ours"), watched.recorder.deciding(request("GET", TAG), ""):
        assert trace.get_current_span().is_recording()
        raise ValueError("of ours")
    assert not trace.get_current_span().is_recording()
    (span,) = watched.spans
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")


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
        head = request("GET", path, token=SECRET)
        with watched.recorder.deciding(head, "") as recording:
            recording.decided(await router.route(head))
    assert len(watched.spans) == 2
    shown = "".join(span.to_json() for span in watched.spans) + repr(watched.points)
    assert SECRET not in shown
    assert "token-invalid" in shown
