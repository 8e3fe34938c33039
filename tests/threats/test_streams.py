"""Messages of a stream in every order, repeated, cut off and forged, against a worker process.

A stream ends or is answered properly, the worker lives, the next stream works, and no stream ever gets a decision on
another's head.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from tests.support.heads import EVERY_TYPE, INDEX
from tests.support.messages import OTHERS, PRIMARY, Reply, head_of, request_head, response_head
from tests.support.program import Program
from tests.support.registry_client import digest_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHOD: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
WITHIN: Final = 30.0
DIGEST: Final = digest_of(b"x")

HEADS: Final = {
    "tag": (request_head("GET", "/v2/s/app/manifests/latest"), "tag-unverified"),
    "digest": (request_head("GET", f"/v2/s/app/blobs/{DIGEST}"), "digest-unknown"),
    "put": (request_head("PUT", "/v2/s/app/manifests/latest"), "write"),
    "listing": (request_head("GET", "/v2/s/app/tags/list"), "listing"),
    "unreadable": (request_head("PUT", "/v2/s/app/manifests/a;b"), "name-invalid"),
}
"""Heads, each with the reason that it alone gets here."""
BROKEN: Final = {
    "nothing": b"",
    "garbage": b"\xff" * 40,
    "cut off": HEADS["tag"][0][:-3],
    "no phase": b"\x50\x01",
}
ANSWER: Final = {
    "answer": response_head(200, ("docker-content-digest", DIGEST), ("content-type", INDEX), site=PRIMARY)
}
MESSAGES: Final = {**{name: head for name, (head, _) in HEADS.items()}, **BROKEN, **ANSWER, **OTHERS}


class Worker:
    """The worker process, and a channel to it."""

    def __init__(self, program: Program, channel: Any) -> None:
        self.pids = program.workers()
        self.program = program
        self._channel = channel
        # So many streams at once: far below `server.max_concurrent_streams`, which has a test of its own.
        self._free = asyncio.Semaphore(64)

    def stream(self) -> Any:
        return self._channel.stream_stream(METHOD)()

    async def talk(self, messages: Sequence[bytes]) -> list[Reply | grpc.StatusCode]:
        """A reply to each message, until the code that ends the stream."""
        replies = list[Reply | grpc.StatusCode]()
        async with self._free, asyncio.timeout(WITHIN):
            call = self.stream()
            try:
                for message in messages:
                    await call.write(message)
                    reply = await call.read()
                    if reply is grpc.aio.EOF:
                        break
                    replies.append(Reply.of(reply))
                else:
                    await call.done_writing()
                    assert await call.read() is grpc.aio.EOF, "one message, one reply"
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass  # its code says so
            return [*replies, await call.code()]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worker]:
    folder = tmp_path_factory.mktemp("streams")
    with Program(folder) as program:
        await asyncio.to_thread(program.ready)
        (socket,) = program.run.glob("*.sock")
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            yield Worker(program, channel)


def expected(names: Sequence[str]) -> Iterator[str]:
    """What the rules of the exchange say: the reply's kind for each message, then the code."""
    phase = "start"
    for name in names:
        if phase == "start" and name in HEADS:
            refused = name == "unreadable"
            phase = "over" if refused else "forwarded"
            yield "immediate_response" if refused else "request_headers"
        elif phase == "forwarded" and name == "answer":
            phase = "answered"
            yield "response_headers"
        elif phase in ("forwarded", "answered") and name in OTHERS:
            yield name
        else:
            yield "INVALID_ARGUMENT"
            return
    yield "OK"


def kinds(replies: Sequence[Reply | grpc.StatusCode]) -> list[str]:
    return [reply.kind if isinstance(reply, Reply) else reply.name for reply in replies]


@pytest.mark.parametrize("first", [*MESSAGES])
async def test_threat_messages_in_every_order(worker: Worker, first: str) -> None:
    """Every sequence of up to three messages, many streams at once."""
    sequences = [(first, *rest) for length in range(3) for rest in itertools.product(MESSAGES, repeat=length)]
    found = await asyncio.gather(*(worker.talk([MESSAGES[name] for name in names]) for names in sequences))
    for names, replies in zip(sequences, found, strict=True):
        assert kinds(replies) == [*expected(names)], names
        if first in HEADS:
            assert isinstance(replies[0], Reply)
            assert replies[0].set_headers["x-geo-reason"] == HEADS[first][1], names
    assert worker.program.workers() == worker.pids


@pytest.mark.parametrize("name", [*MESSAGES])
async def test_threat_a_message_cut_off_at_any_byte(worker: Worker, name: str) -> None:
    """It ends its stream or is a shorter message; never a decision on anything that it does not hold."""
    whole = MESSAGES[name]
    for replies in await asyncio.gather(*(worker.talk([whole[:length]]) for length in range(len(whole)))):
        if kinds(replies) != ["INVALID_ARGUMENT"]:
            assert isinstance(replies[0], Reply)
            assert name in HEADS
            assert replies[0].set_headers["x-geo-reason"] in ("unknown-operation", HEADS[name][1])
    assert worker.program.workers() == worker.pids


@pytest.mark.parametrize("pair", [*itertools.product(HEADS, HEADS)], ids=" and ".join)
async def test_threat_two_heads_in_one_message_are_nobodys(worker: Worker, pair: tuple[str, str]) -> None:
    """protobuf merges them: two methods and two paths, which is no operation."""
    (reply, code) = await worker.talk([HEADS[pair[0]][0] + HEADS[pair[1]][0]])
    assert isinstance(reply, Reply)
    assert reply.set_headers == {"x-geo-route": "primary", "x-geo-reason": "unknown-operation"}
    assert code is grpc.StatusCode.OK


async def test_threat_no_stream_gets_anothers_decision(worker: Worker) -> None:
    """Forty tags with a lease each, read by many streams at once between broken ones: each is pinned to its own."""
    names = [f"own/n{number}" for number in range(40)]
    accept = ("accept", EVERY_TYPE[0])

    def read(name: str) -> bytes:
        return request_head("GET", f"/v2/{name}/manifests/latest", accept)

    for name in names:
        fields = (("docker-content-digest", digest_of(name.encode())), ("content-type", INDEX))
        replies = await worker.talk([read(name), response_head(200, *fields, site=PRIMARY)])
        assert kinds(replies) == ["request_headers", "response_headers", "OK"]
    rounds = [(name, [read(name), *rest]) for name in names for rest in ([], [read("own/n0")], [b"\xff"], [b""])]
    rounds += [("", [message]) for message in BROKEN.values() for _ in range(20)]
    random.Random(5).shuffle(rounds)
    for (name, _), replies in zip(
        rounds, await asyncio.gather(*(worker.talk(messages) for _, messages in rounds)), strict=True
    ):
        if name:
            assert isinstance(replies[0], Reply)
            pinned = replies[0].set_headers[":path"]
            assert pinned == f"/v2/{name}/manifests/{digest_of(name.encode())}"
        else:
            assert replies == [grpc.StatusCode.INVALID_ARGUMENT]


@pytest.mark.parametrize("size", [0, 1, 1_000, 60_000])
async def test_threat_headers_of_any_bytes_and_of_60_kilobytes(worker: Worker, size: int) -> None:
    """Neither decides on more than it reads, nor is anything but the primary's to judge."""
    odd = "".join(chr(byte) for byte in range(1, 256)) * (size // 255 + 1)
    for key in (":path", "accept", "authorization", "x-request-id", ":authority"):
        path = f"/v2/s/app/blobs/{DIGEST}"
        fields = [(":method", "GET"), (":path", path)] if key != ":path" else [(":method", "GET")]
        value = f"/v2/s/app/manifests/{odd[:size]}" if key == ":path" else odd[:size]
        replies = await worker.talk([head_of(*fields, (key, value))])
        assert kinds(replies) == ["request_headers", "OK"]
        assert isinstance(replies[0], Reply)
        reason = "unknown-operation" if key == ":path" else "digest-unknown"
        assert replies[0].set_headers["x-geo-reason"] == reason
    assert worker.program.workers() == worker.pids


async def test_threat_streams_left_in_the_middle(worker: Worker) -> None:
    """Cancelled before, between and after messages: nothing stays behind that the next one would meet."""
    for messages in ([], [MESSAGES["tag"]], [MESSAGES["put"]], [MESSAGES["tag"], MESSAGES["answer"]], [b"\xff"]):
        for waits in (False, True):
            calls = [worker.stream() for _ in range(20)]
            for call in calls:
                for message in messages:
                    await call.write(message)
                    if waits and message != b"\xff":
                        await call.read()
                call.cancel()
    # Another name: the writes that were left have their marks on theirs.
    replies = await worker.talk([request_head("GET", f"/v2/s/next/blobs/{DIGEST}")])
    assert kinds(replies) == ["request_headers", "OK"]
    assert worker.program.workers() == worker.pids
