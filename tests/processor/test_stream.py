"""The driver with a real router: messages as Envoy writes them in, replies as it reads them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from extproc.auth.challenge import Challenge
from extproc.evidence.backlog import Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Snapshot
from extproc.evidence.store import Question
from extproc.oci.reference import Digest, Name, Tag
from extproc.processor.codec import OtherPhase, WireError, encode_continue
from extproc.processor.exchange import ProtocolError
from extproc.processor.pending_reply import PendingReply
from extproc.processor.stream import Stream
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.router import Router
from tests.support.clock import Clock
from tests.support.heads import EVERY_TYPE, INDEX, request
from tests.support.messages import OTHERS, PRIMARY, Reply, request_head, response_head
from tests.support.recorded import Recorder


async def replied(stream: Stream, data: bytes) -> bytes:
    reply = stream.receive(data)
    return reply if isinstance(reply, bytes) else await reply


DIGEST = Digest("sha256:" + "a" * 64)
TAG_PATH = "/v2/g/app/manifests/latest"


@dataclass
class Worker:
    recorder: Recorder = field(default_factory=Recorder)

    def __post_init__(self) -> None:
        self.store = store = MemoryStore(absent_ttl=5, clock=Clock())
        self.router = Router(
            verifier=None, facts=store, writes=Backlog(store), policy=Policy(), now=Clock(1_800_000_000)
        )

    def stream(self, traceparent: str = "") -> Stream:
        return Stream(self.router, Challenge("https://issuer/", "registry"), self.recorder, traceparent)

    async def exchange(self, method: str, path: str, *answer: bytes) -> Reply:
        """A whole exchange; the reply to the request's head."""
        stream = self.stream()
        reply = Reply.of(await replied(stream, request_head(method, path, ("accept", EVERY_TYPE[0]))))
        if reply.observes:
            for message in answer:
                assert await replied(stream, message) == encode_continue(OtherPhase.RESPONSE_HEADERS)
        return reply


ANSWER = response_head(200, ("docker-content-digest", DIGEST), ("content-type", INDEX), site=PRIMARY)


async def test_a_tag_that_was_read_is_pinned() -> None:
    worker = Worker()
    first = await worker.exchange("GET", TAG_PATH, ANSWER)
    assert first.set_headers == {"x-geo-route": "primary", "x-geo-reason": "tag-unverified"}
    second = await worker.exchange("GET", TAG_PATH + "?ns=x")
    assert second.set_headers == {
        "x-geo-route": "secondary",
        "x-geo-reason": "tag-verified",
        ":path": f"/v2/g/app/manifests/{DIGEST}?ns=x",
    }


async def test_a_write_is_seen_by_the_next_read() -> None:
    worker = Worker()
    await worker.exchange("GET", TAG_PATH, ANSWER)
    put = await worker.exchange("PUT", TAG_PATH, response_head(201, site=PRIMARY))
    assert put.set_headers["x-geo-reason"] == "write"
    assert put.observes
    after = await worker.exchange("GET", TAG_PATH, ANSWER)
    assert after.set_headers["x-geo-reason"] == "tag-unverified"


@pytest.mark.parametrize("traced", [True, False])
async def test_each_decision_is_recorded_once(traced: bool) -> None:
    worker = Worker(Recorder(traced))
    parent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    stream = worker.stream(parent)
    await replied(stream, request_head("GET", TAG_PATH, ("accept", EVERY_TYPE[0])))
    await replied(stream, ANSWER)
    (recorded,) = worker.recorder.exchanges
    assert recorded.routed is not None
    assert recorded.routed.decision.reason is Reason.TAG_UNVERIFIED
    assert recorded.head.path == TAG_PATH
    assert recorded.traceparent == parent
    assert recorded.answer is not None
    assert recorded.answer.site == "primary"
    around = ["deciding", "decided"] if traced else []
    assert recorded.blocks == [*around, "observing", "observed"]


def test_what_needs_no_store_is_replied_at_once() -> None:
    at_once = Worker().stream().receive(request_head("GET", "/v2/"))
    assert isinstance(at_once, bytes)
    assert Reply.of(at_once).set_headers["x-geo-reason"] == "api-base"


async def test_what_is_traced_is_within_its_block_even_so() -> None:
    stream = Worker(Recorder(traced=True)).stream()
    assert not isinstance(reply := stream.receive(request_head("GET", "/v2/")), bytes)
    assert Reply.of(await reply).set_headers["x-geo-reason"] == "api-base"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        pytest.param(b"\xff", WireError, id="not a message"),
        pytest.param(response_head(200), ProtocolError, id="an answer before the request"),
    ],
)
async def test_what_is_refused_is_not_recorded(message: bytes, error: type[Exception]) -> None:
    worker = Worker()
    with pytest.raises(error):
        await replied(worker.stream(), message)
    assert worker.recorder.decisions == []


async def test_streams_share_nothing_but_the_router() -> None:
    worker = Worker()
    one, other = worker.stream(), worker.stream()
    await replied(one, request_head("GET", TAG_PATH))
    with pytest.raises(ProtocolError):
        await replied(other, response_head(200))
    await replied(other, request_head("GET", TAG_PATH))
    assert len(worker.recorder.decisions) == 2


@pytest.mark.parametrize("name", OTHERS)
async def test_a_phase_that_was_not_asked_for_is_passed_on(name: str) -> None:
    worker = Worker()
    stream = worker.stream()
    await replied(stream, request_head("GET", TAG_PATH))
    assert Reply.of(await replied(stream, OTHERS[name])).kind == name
    assert len(worker.recorder.decisions) == 1


# Look-ups that no task waits for


class Asked:
    """Answers when the test tells it to."""

    def __init__(self) -> None:
        self.told: list[Callable[[Evidence | Exception], None]] = []
        self.at_once: Evidence | None = None

    def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> Question:
        self.told.append(then)
        if self.at_once is not None:
            then(self.at_once)
        return self

    def give_up(self) -> None:
        """Nothing is asked that could be."""


PRESENT = Evidence(Snapshot(b"e", b"g", 1), False, None, DigestState.PRESENT, 1.0)
BLOB_PATH = f"/v2/g/app/blobs/{DIGEST}"


def asking(worker: Worker) -> Asked:
    asked, store = Asked(), worker.store
    worker.router = Router(
        verifier=None,
        facts=store,
        writes=Backlog(store),
        policy=Policy(),
        now=Clock(1_800_000_000),
        asking=asked,
    )
    return asked


async def test_the_reply_is_there_when_the_answer_has_come() -> None:
    worker = Worker()
    asked = asking(worker)
    reply = worker.stream().receive(request_head("GET", BLOB_PATH))
    assert isinstance(reply, PendingReply)
    assert not reply.over
    asked.told[0](PRESENT)
    assert Reply.of(await reply).set_headers == {"x-geo-route": "secondary", "x-geo-reason": "digest-present"}
    assert [recorded.routed is not None for recorded in worker.recorder.exchanges] == [True]


async def test_a_client_that_has_gone_is_not_answered() -> None:
    worker = Worker()
    asked = asking(worker)
    reply = worker.stream().receive(request_head("GET", BLOB_PATH))
    assert isinstance(reply, PendingReply)
    reply.give_up()
    asked.told[0](PRESENT)
    assert worker.recorder.exchanges[0].routed is None


@pytest.mark.parametrize("of_ours", [True, False])
async def test_a_fault_is_its_streams_alone(of_ours: bool) -> None:
    worker = Worker()
    asked = asking(worker)
    reply = worker.stream().receive(request_head("GET", BLOB_PATH))
    assert not isinstance(reply, bytes)
    if of_ours:
        # The recorder minds to be told twice.
        worker.recorder.exchanges[0].routed = await worker.router.route(request("GET", "/v2/"))
        asked.told[0](PRESENT)
        with pytest.raises(AssertionError):
            await reply
    else:
        asked.told[0](RuntimeError("the store's"))
        with pytest.raises(RuntimeError, match="the store's"):
            await reply


async def test_who_is_traced_is_waited_for_by_a_task() -> None:
    worker = Worker(Recorder(traced=True))
    asked = asking(worker)
    assert Reply.of(await replied(worker.stream(), request_head("GET", BLOB_PATH))).set_headers
    assert asked.told == []


class Askable(MemoryStore):
    """Can be asked both ways."""

    def __init__(self) -> None:
        super().__init__(absent_ttl=5, clock=Clock())
        self.asking = Asked()


@pytest.mark.parametrize("traced", [True, False])
async def test_a_traced_look_up_is_watched_within_its_block_and_no_other_is(traced: bool) -> None:
    """That is how it comes by its span: the store's is a child of the exchange's."""
    worker = Worker(Recorder(traced))
    inner, watched = Askable(), []

    @contextmanager
    def watch(operation: str) -> Iterator[None]:
        watched.append((operation, list(worker.recorder.exchanges[0].blocks)))
        yield

    store = GuardedStore(inner, budget=60.0, breaker=Breaker(failures=1, pause=1.0), watch=watch)
    worker.router = Router(
        verifier=None, facts=store, writes=Backlog(store), policy=Policy(), now=Clock(), asking=store.asking
    )
    reply = worker.stream().receive(request_head("GET", BLOB_PATH))
    assert not isinstance(reply, bytes)
    if not traced:
        inner.asking.told[0](PRESENT)
    reason = "digest-unknown" if traced else "digest-present"
    assert Reply.of(await reply).set_headers["x-geo-reason"] == reason
    assert watched == ([("decide", ["deciding"])] if traced else [])


async def test_the_response_phase_follows_as_ever() -> None:
    worker = Worker()
    asked = asking(worker)
    stream = worker.stream()
    reply = stream.receive(request_head("GET", TAG_PATH, ("accept", EVERY_TYPE[0])))
    asked.told[0](await worker.store.decide(Name("g/app"), Tag("latest")))
    assert not isinstance(reply, bytes)
    assert Reply.of(await reply).observes
    assert await replied(stream, ANSWER) == encode_continue(OtherPhase.RESPONSE_HEADERS)
    lease = (await worker.store.decide(Name("g/app"), Tag("latest"))).lease
    assert lease is not None
    assert lease.digest == DIGEST


async def test_what_is_known_at_once_is_replied_to_all_the_same() -> None:
    worker = Worker()
    asked = asking(worker)
    asked.at_once = PRESENT
    reply = worker.stream().receive(request_head("GET", BLOB_PATH))
    assert isinstance(reply, PendingReply)
    assert Reply.of(await reply).set_headers["x-geo-reason"] == "digest-present"


@pytest.mark.parametrize("late", [PRESENT, RuntimeError("ours")], ids=["an answer", "a fault"])
async def test_what_comes_for_a_client_that_has_gone_harms_nobody(late: Evidence | Exception) -> None:
    worker = Worker()
    asked = asking(worker)
    gone, other = (worker.stream().receive(request_head("GET", BLOB_PATH)) for _ in range(2))
    assert isinstance(gone, PendingReply)
    assert isinstance(other, PendingReply)
    gone.give_up()
    asked.told[0](late)
    asked.told[1](PRESENT)
    assert Reply.of(await other).set_headers["x-geo-reason"] == "digest-present"
    assert [recorded.routed is not None for recorded in worker.recorder.exchanges] == [False, True]
