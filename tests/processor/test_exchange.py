"""The phases of one stream; Envoy's own full messages, not our minimal ones, write and read."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from extproc.auth.challenge import Challenge
from extproc.auth.grant import Access
from extproc.evidence.model import Invalidation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Tag
from extproc.processor.codec import WireError
from extproc.processor.exchange import Exchange, ObserveWanted, ProtocolError
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.message import RequestHead
from extproc.routing.reason import Reason
from extproc.routing.router import Routed
from tests.support.messages import OTHERS, Reply, oracle, request_head, response_head

CHALLENGE = Challenge("https://gitlab.example.com/jwt/auth", "container_registry")
DIGEST = Digest("sha256:" + "a" * 64)
TAG_PATH = "/v2/g/app/manifests/latest"


def routed(decision: Forward | Refuse, method: str = "GET", path: str = TAG_PATH) -> Routed:
    return Routed(parse_operation(method, path), decision)


READ = Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED)
LEARNING = Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED, observe=True)
WRITE = Forward(Route.PRIMARY, Reason.WRITE, invalidation=Invalidation(tag=Tag("latest")))
REFUSED = Refuse(401, Reason.TOKEN_MISSING, (Access("repository", "g/app", "pull"),))


def started(decision: Forward | Refuse, method: str = "GET", path: str = TAG_PATH) -> tuple[Exchange, Reply]:
    exchange = Exchange(CHALLENGE)
    question = exchange.receive(request_head(method, path))
    assert isinstance(question, RequestHead)
    assert (question.method, question.path) == (method, path)
    return exchange, Reply.of(exchange.routed(routed(decision, method, path)))


class TestForward:
    @pytest.mark.parametrize(
        ("decision", "observes"),
        [
            pytest.param(READ, False, id="a read that teaches nothing"),
            pytest.param(LEARNING, True, id="a read that teaches"),
            pytest.param(WRITE, True, id="a write"),
            pytest.param(Forward(Route.SECONDARY, Reason.DIGEST_PRESENT), False, id="a read of the secondary"),
        ],
    )
    def test_route_and_reason(self, decision: Forward, observes: bool) -> None:
        _, reply = started(decision)
        assert reply.kind == "request_headers"
        assert reply.set_headers == {"x-geo-route": decision.route.value, "x-geo-reason": decision.reason.value}
        assert reply.message.request_headers is not None
        assert reply.message.request_headers.response is not None
        assert reply.message.request_headers.response.clear_route_cache
        assert reply.observes is observes

    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            pytest.param("/v2/g/app/manifests/latest?ns=x", f"/v2/g/app/manifests/{DIGEST}", id="tag"),
            pytest.param(f"/v2/g/app/manifests/{DIGEST}", f"/v2/g/app/manifests/{DIGEST}", id="manifest"),
            pytest.param(f"/v2/g/app/blobs/{DIGEST}?x", f"/v2/g/app/blobs/{DIGEST}", id="blob"),
        ],
    )
    def test_what_the_secondary_may_be_asked_for_is_a_digest(self, path: str, asked: str) -> None:
        decision = Forward(Route.PRIMARY_THEN_SECONDARY, Reason.TAG_STALE, stale=DIGEST)
        _, reply = started(decision, path=path)
        assert reply.set_headers == {
            "x-geo-route": "primary-then-secondary",
            "x-geo-reason": "tag-stale",
            "x-geo-stale": asked,
        }

    @pytest.mark.parametrize(
        ("query", "pinned"),
        [
            pytest.param("", "", id="none"),
            pytest.param("?", "?", id="empty"),
            pytest.param("?ns=docker.io", "?ns=docker.io", id="containerd"),
            pytest.param("?a=b?c=d&&e=%2F%zz;+ /../x", "?a=b?c=d&&e=%2F%zz;+ /../x", id="odd but opaque"),
            pytest.param("?\xff\x80", "?\xff\x80", id="not UTF-8"),
        ],
    )
    def test_a_pinned_path_keeps_the_query_byte_for_byte(self, query: str, pinned: str) -> None:
        _, reply = started(Forward(Route.SECONDARY, Reason.TAG_VERIFIED, pin=DIGEST), path=TAG_PATH + query)
        assert reply.set_headers[":path"] == f"/v2/g/app/manifests/{DIGEST}{pinned}"

    def test_no_path_is_set_without_a_pin(self) -> None:
        _, reply = started(READ, path=TAG_PATH + "?ns=x")
        assert ":path" not in reply.set_headers


class TestRefuse:
    """The challenge of the token specification."""

    PULL = (Access("repository", "a/b", "pull"),)
    SCOPE = ',scope="repository:a/b:pull"'

    def test_503(self) -> None:
        refusal = Refuse(503, Reason.EVIDENCE_UNAVAILABLE, fault="try again")
        _, reply = started(refusal, "DELETE", f"/v2/g/app/manifests/{DIGEST}")
        assert reply.status == 503
        assert reply.set_headers["retry-after"] == "1"
        assert json.loads(reply.body) == {"errors": [{"code": "UNAVAILABLE", "message": "try again"}]}

    def test_the_reason_can_be_left_out(self) -> None:
        exchange = Exchange(CHALLENGE, show_reason=False)
        exchange.receive(request_head("GET", "/v2/"))
        reply = Reply.of(exchange.routed(routed(Refuse(401, Reason.TOKEN_MISSING), "GET", "/v2/")))
        assert "www-authenticate" in reply.set_headers
        assert "x-geo-reason" not in reply.set_headers

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        ("reason", "wanted", "rest"),
        [
            pytest.param(Reason.TOKEN_MISSING, PULL, SCOPE, id="missing: no error"),
            pytest.param(Reason.TOKEN_MISSING, (), "", id="for /v2/: no scope"),
            pytest.param(Reason.TOKEN_EXPIRED, PULL, SCOPE + ',error="invalid_token"', id="expired"),
            pytest.param(Reason.TOKEN_INVALID, PULL, SCOPE + ',error="invalid_token"', id="invalid"),
            pytest.param(Reason.SCOPE_INSUFFICIENT, PULL, SCOPE + ',error="insufficient_scope"', id="scope"),
        ],
    )
    def test_401(self, method: str, reason: Reason, wanted: tuple[Access, ...], rest: str) -> None:
        exchange, reply = started(Refuse(401, reason, wanted), method, "/v2/a/b/manifests/latest")
        answer = reply.message.immediate_response
        assert reply.kind == "immediate_response"
        assert answer is not None
        assert reply.status == 401
        assert answer.details == reason.value
        assert reply.set_headers == {
            "content-type": "application/json; charset=utf-8",
            "docker-distribution-api-version": "registry/2.0",
            "x-geo-reason": reason.value,
            "www-authenticate": 'Bearer realm="https://gitlab.example.com/jwt/auth",service="container_registry"'
            + rest,
        }
        error: dict[str, object] = {"code": "UNAUTHORIZED", "message": "authentication required"}
        if wanted:
            error["detail"] = [{"Type": "repository", "Class": "", "Name": "a/b", "Action": "pull"}]
        # For a HEAD too: Envoy sends its length and type, and leaves it out.
        assert json.loads(reply.body) == {"errors": [error]}
        for message in (response_head(200), OTHERS["request_body"], request_head("GET", TAG_PATH)):
            with pytest.raises(ProtocolError, match="in phase OVER"):
                exchange.receive(message)

    def test_400_names_the_fault_and_does_not_challenge(self) -> None:
        path = "/v2/a/%62/manifests/latest"
        operation = parse_operation("PUT", path)
        _, reply = started(Refuse(400, Reason.NAME_INVALID, fault=operation.fault), "PUT", path)
        assert reply.status == 400
        assert "www-authenticate" not in reply.set_headers
        assert reply.set_headers["x-geo-reason"] == "name-invalid"
        (error,) = json.loads(reply.body)["errors"]
        assert error["code"] == "NAME_INVALID"
        assert path in error["message"]


def to_start() -> Exchange:
    return Exchange(CHALLENGE)


def to_routing() -> Exchange:
    exchange = Exchange(CHALLENGE)
    exchange.receive(request_head("GET", TAG_PATH))
    return exchange


def to_forwarded() -> Exchange:
    return started(LEARNING)[0]


def to_observing() -> Exchange:
    exchange = to_forwarded()
    exchange.receive(response_head(200))
    return exchange


def to_answered() -> Exchange:
    exchange = to_observing()
    exchange.observed()
    return exchange


def to_answered_unasked() -> Exchange:
    exchange, _ = started(READ)
    exchange.receive(response_head(200))
    return exchange


def to_over() -> Exchange:
    return started(REFUSED)[0]


BODIES_AND_TRAILERS = list(OTHERS.items())
HEADS = [("request head", request_head("GET", TAG_PATH)), ("response head", response_head(200))]
UNEXPECTED: list[tuple[Callable[[], Exchange], list[tuple[str, bytes]]]] = [
    (to_start, [HEADS[1], *BODIES_AND_TRAILERS]),
    (to_routing, [*HEADS, *BODIES_AND_TRAILERS]),
    (to_forwarded, [HEADS[0]]),
    (to_observing, [*HEADS, *BODIES_AND_TRAILERS]),
    (to_answered, HEADS),
    (to_answered_unasked, HEADS),
    (to_over, [*HEADS, *BODIES_AND_TRAILERS]),
]


class TestPhases:
    def test_an_answer_is_observed_once(self) -> None:
        exchange, _ = started(LEARNING)
        question = exchange.receive(response_head(404))
        assert isinstance(question, ObserveWanted)
        assert question.head.status == 404
        assert question.routed.decision == LEARNING
        reply = Reply.of(exchange.observed())
        assert reply.kind == "response_headers"
        assert reply.message.mode_override is None

    def test_an_answer_that_was_not_asked_for_is_passed_on(self) -> None:
        exchange, _ = started(READ)
        reply = Reply.of(exchange.receive(response_head(200)))
        assert reply.kind == "response_headers"
        assert reply.message == oracle.ProcessingResponse(response_headers=oracle.HeadersResponse())

    @pytest.mark.parametrize("name", OTHERS)
    @pytest.mark.parametrize("reach", [to_forwarded, to_answered, to_answered_unasked])
    def test_a_phase_that_was_not_asked_for_is_passed_on(self, reach: Callable[[], Exchange], name: str) -> None:
        exchange = reach()
        for _ in range(2):
            assert Reply.of(exchange.receive(OTHERS[name])).kind == name

    def test_a_response_may_come_before_the_request_has_ended(self) -> None:
        exchange, _ = started(WRITE, "PUT")
        assert Reply.of(exchange.receive(OTHERS["request_body"])).kind == "request_body"
        assert isinstance(exchange.receive(response_head(413)), ObserveWanted)
        assert Reply.of(exchange.observed()).kind == "response_headers"
        assert Reply.of(exchange.receive(OTHERS["request_trailers"])).kind == "request_trailers"

    @pytest.mark.parametrize(
        ("reach", "message"),
        [
            pytest.param(reach, message, id=f"{name}, {reach.__name__}")
            for reach, messages in UNEXPECTED
            for name, message in messages
        ],
    )
    def test_unexpected(self, reach: Callable[[], Exchange], message: bytes) -> None:
        exchange = reach()
        for _ in range(2):
            with pytest.raises(ProtocolError, match="in phase"):
                exchange.receive(message)

    @pytest.mark.parametrize("data", [b"\xff", b""], ids=["not a message", "no phase"])
    def test_what_cannot_be_decoded_changes_no_phase(self, data: bytes) -> None:
        exchange = Exchange(CHALLENGE)
        with pytest.raises(WireError):
            exchange.receive(data)
        assert isinstance(exchange.receive(request_head("GET", TAG_PATH)), RequestHead)

    @pytest.mark.parametrize("reach", [to_start, to_forwarded, to_answered, to_over])
    def test_an_answer_to_no_question_is_a_fault_of_ours(self, reach: Callable[[], Exchange]) -> None:
        with pytest.raises(AssertionError, match="no request head"):
            reach().routed(routed(READ))
        with pytest.raises(AssertionError, match="no response head"):
            reach().observed()

    def test_the_head_that_is_asked_about_is_the_one_that_came(self) -> None:
        question = Exchange(CHALLENGE).receive(request_head("HEAD", "/v2/a/b/blobs/x?y"))
        assert question == RequestHead("HEAD", "/v2/a/b/blobs/x?y", (), (), False)
