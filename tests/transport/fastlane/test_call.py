"""Calls, from their messages to their ends. Without sockets: each step is made when the test makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from grpc_health.v1 import health_pb2

from extproc.processor.codec import WireError
from extproc.routing.message import Unread
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpc_wire import message
from extproc.transport.health import CHECK, WATCH
from extproc.transport.http2.frame import END_STREAM, Setting, data, settings, window_update
from extproc.transport.service import MessageHandler, NewStream
from tests.transport.fastlane.conftest import Timed, turns
from tests.transport.fastlane.wire import Client, request
from tests.transport.http2.dialogue import raw
from tests.transport.test_conformance import Scripted

OK, CANCELLED_TOO_LATE = (0, ""), (4, "the client's deadline has passed")
HEALTH = health_pb2.HealthCheckRequest().SerializeToString()
OTHER_SERVICE = health_pb2.HealthCheckRequest(service="other").SerializeToString()
NewClient = Callable[..., Client]


class Now:
    """Answers at once, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def stream(self, traceparent: str | Unread) -> Now:
        return self

    def receive(self, data: bytes) -> bytes:
        self.asked.append(data)
        if data == b"wire":
            raise WireError("not a message")
        if data == b"fault":
            raise RuntimeError("Bearer secret")
        return b"<" + data


def serving(new_stream: NewStream) -> FastlaneServer:
    return FastlaneServer("unix:/unused", new_stream, max_streams=5)


# Messages


async def test_a_call(client: Client) -> None:
    client.send(request(1))
    client.ask(1, b"a", b"b", end=True)
    await turns()
    answer = client.answer(1)
    assert answer.head == {":status": "200", "content-type": "application/grpc"}
    assert answer.messages == [b"<a", b"<b"]
    assert answer.trailers == {"grpc-status": "0"}
    assert answer.ended
    assert client.sent() == ["HEADERS 1", "DATA 1 7", "DATA 1 7", "HEADERS 1 end"]


async def test_a_call_without_a_message(client: Client) -> None:
    client.send(request(1), data(1, b"", end=True))
    assert client.answer(1).status == OK
    assert client.sent() == ["HEADERS 1 end"]


TWO = message(b"first") + message(b"") + message(b"x" * 200)


@pytest.mark.parametrize("at_once", [True, False])
async def test_messages_cut_anywhere(new_client: NewClient, at_once: bool, scripted: Scripted) -> None:
    for at in range(len(TWO) + 1):
        client = new_client(serving(Now().stream if at_once else scripted.stream))
        client.open(request(1), data(1, TWO[:at], end=False), data(1, TWO[at:], end=True))
        await turns()
        assert client.answer(1).messages == [b"<first", b"<", b"<" + b"x" * 200]
        assert client.answer(1).status == OK


async def test_messages_byte_by_byte(new_client: NewClient) -> None:
    client = new_client(serving(Now().stream))
    client.open(request(1), *(data(1, TWO[at : at + 1], end=False) for at in range(len(TWO))), raw(0, END_STREAM, 1))
    assert client.answer(1).messages == [b"<first", b"<", b"<" + b"x" * 200]
    assert client.answer(1).status == OK


async def test_messages_wait_for_the_reply_to_those_before_them(client: Client, scripted: Scripted) -> None:
    client.send(request(1))
    client.ask(1, b"wait", b"b", b"c", end=True)
    await scripted.arrived.wait()
    await turns()
    assert client.answer(1).messages == []
    scripted.release.set()
    await turns()
    assert client.answer(1).messages == [b"<wait", b"<b", b"<c"]
    assert client.answer(1).status == OK


async def test_an_answer_may_be_any_awaitable(new_client: NewClient) -> None:
    future = asyncio.get_running_loop().create_future()

    class Later:
        def receive(self, data: bytes) -> asyncio.Future[bytes]:
            return future

    client = new_client(serving(lambda _: Later()))
    client.open(request(1))
    client.ask(1, b"a")
    future.set_result(b"<a")
    await turns()
    assert client.answer(1).messages == [b"<a"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\1\0\0\0\1x", (12, "compressed messages are not taken; send identity"), id="compressed"),
        pytest.param(
            b"\0\0\x10\0\1", (8, "a message of 1048577 bytes; 1048576 is the most that is taken"), id="large"
        ),
    ],
)
@pytest.mark.parametrize("after", [(), (b"a",)], ids=["first", "second"])
async def test_bad_messages(client: Client, after: tuple[bytes, ...], sent: bytes, status: tuple[int, str]) -> None:
    client.send(request(1))
    client.ask(1, *after)
    await turns()
    client.send(data(1, sent, end=False), data(1, b"more of it", end=True))
    assert client.answer(1).status == status
    assert client.sent()[-1] == "RST_STREAM 1 NO_ERROR"
    assert client.server.streams == 0
    assert not client.wire.closed


@pytest.mark.parametrize("sent", [b"\0", b"\0\0\0\0\2x"])
async def test_an_end_within_a_message(client: Client, sent: bytes) -> None:
    client.send(request(1), data(1, sent, end=True))
    assert client.answer(1).status == (13, "the stream ended within a message")


@pytest.mark.parametrize("end", [True, False])
async def test_an_error_without_waiting(new_client: NewClient, end: bool) -> None:
    for text, status in ((b"wire", (3, "not a message")), (b"fault", (13, "a fault of geo-extproc; its log has it"))):
        now = Now()
        client = new_client(serving(now.stream))
        client.open(request(1))
        with structlog.testing.capture_logs() as logs:
            client.ask(1, b"a", text, b"never looked at", end=end)
        assert client.answer(1).messages == [b"<a"]
        assert client.answer(1).status == status
        assert now.asked == [b"a", text]
        assert len(logs) == 1


async def test_a_handler_that_was_cancelled_by_itself(new_client: NewClient) -> None:
    class Cancelled:
        async def receive(self, data: bytes) -> bytes:
            raise asyncio.CancelledError

    client = new_client(serving(lambda _: Cancelled()))
    client.open(request(1))
    with structlog.testing.capture_logs() as logs:
        client.ask(1, b"a")
        await turns()
    assert client.answer(1).status == (13, "a fault of geo-extproc; its log has it")
    assert len(logs) == 1


# Deadlines


async def test_a_deadline_while_the_handler_waits(client: Client, timed: Timed, scripted: Scripted) -> None:
    client.send(request(1, (b"grpc-timeout", b"5S")))
    client.ask(1, b"a", b"wait")
    await turns()
    await timed.advance(4.9)
    assert client.answer(1).status is None
    await timed.advance(0.2)
    assert client.answer(1).messages == [b"<a"]
    assert client.answer(1).status == CANCELLED_TOO_LATE
    assert scripted.cancelled.is_set()


async def test_a_deadline_before_anything_was_asked(client: Client, timed: Timed) -> None:
    client.send(request(1, (b"grpc-timeout", b"100m")))
    await timed.advance(0.2)
    assert client.answer(1).status == CANCELLED_TOO_LATE
    assert client.sent() == ["HEADERS 1 end", "RST_STREAM 1 NO_ERROR"]


async def test_a_deadline_of_nothing(client: Client) -> None:
    client.send(request(1, (b"grpc-timeout", b"0n")))
    await turns()
    assert client.answer(1).status == CANCELLED_TOO_LATE


async def test_a_deadline_while_the_reply_waits_for_a_window(client: Client, timed: Timed) -> None:
    client.send(settings({Setting.INITIAL_WINDOW_SIZE: 3}), request(1, (b"grpc-timeout", b"5S")))
    client.ask(1, b"a", b"b")
    await turns()
    await timed.advance(6)
    assert client.sent() == ["SETTINGS ack", "HEADERS 1", "DATA 1 3"]
    assert client.server.streams == 0
    client.ask(1, b"nobody looks at this")
    client.send(window_update(1, 100))
    assert client.answer(1).messages == [b"<a"]
    assert client.answer(1).status == CANCELLED_TOO_LATE


@pytest.mark.parametrize("how", ["answered", "reset", "refused", "broken", "unknown method", "no room"])
async def test_no_timer_outlives_its_call(new_client: NewClient, timed: Timed, how: str) -> None:
    def broken(traceparent: str | Unread) -> MessageHandler:
        raise RuntimeError

    client = new_client(serving(broken if how == "broken" else Now().stream))
    client.open()
    before = timed.pending()
    if how == "no room":
        client.send(*map(request, range(1, 11, 2)))
    long = (b"grpc-timeout", b"99999999H")
    with structlog.testing.capture_logs():
        client.send(request(21, long, path="/other" if how == "unknown method" else "/" + PROCESS))
        if how == "answered":
            client.ask(21, b"a", end=True)
        elif how == "reset":
            client.reset(21)
        elif how == "refused":
            client.ask(21, b"wire")
    assert timed.pending() == before
    assert client.answer(21).status is not None or how == "reset"


PROCESS = "envoy.service.ext_proc.v3.ExternalProcessor/Process"


# Ends while something is under way


@pytest.mark.parametrize("how", ["reset", "lost", "fault", "closed"])
async def test_whatever_ends_a_call_cancels_its_handler(client: Client, scripted: Scripted, how: str) -> None:
    client.send(request(1))
    client.ask(1, b"wait", b"b", end=True)
    await scripted.arrived.wait()
    if how == "reset":
        client.reset(1)
    elif how == "lost":
        client.peer.connection_lost(ConnectionResetError())
    elif how == "fault":
        client.send(raw(6, 0, 1, bytes(8)))
    else:
        client.peer.close()
    assert client.server.streams == 0
    await turns()
    assert scripted.cancelled.is_set()
    assert client.answer(1).messages == []


@pytest.mark.parametrize("started", [True, False])
async def test_nobody_complains_of_what_a_cancelled_handler_does(
    new_client: NewClient, started: bool, complaints: list[dict[str, Any]]
) -> None:
    class Stubborn:
        async def receive(self, data: bytes) -> bytes:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise RuntimeError("not now") from None
            return data

    client = new_client(serving(lambda _: Stubborn()))
    client.open(request(1))
    client.ask(1, b"a")
    if started:
        await turns()
    client.reset(1)
    with structlog.testing.capture_logs() as logs:
        await turns()
    assert (logs, complaints) == ([], [])


async def test_a_reply_that_comes_with_the_reset_is_dropped(client: Client, scripted: Scripted) -> None:
    client.send(request(1))
    client.ask(1, b"wait")
    await scripted.arrived.wait()
    scripted.release.set()
    client.reset(1)
    await turns()
    assert client.sent() == []


# Windows


async def test_a_reply_larger_than_the_window(new_client: NewClient) -> None:
    now = Now()
    client = new_client(serving(now.stream))
    client.open(settings({Setting.INITIAL_WINDOW_SIZE: 10}), request(1))
    client.ask(1, b"x" * 100, b"second", end=True)
    # Whoever does not read is not worked for.
    assert now.asked == [b"x" * 100]
    for _ in range(9):
        client.send(window_update(1, 10))
        assert now.asked == [b"x" * 100]
    client.send(window_update(1, 10))
    assert now.asked == [b"x" * 100, b"second"]
    client.send(window_update(1, 100))
    assert client.answer(1).messages == [b"<" + b"x" * 100, b"<second"]
    assert client.answer(1).status == OK


async def test_a_large_message_opens_its_window_again(new_client: NewClient) -> None:
    client = new_client(serving(Now().stream))
    client.open(request(1))
    text = message(b"x" * (1 << 20))
    for _ in range(5):
        # Twice the window in all, so it must have been opened; his own is not, and the replies wait.
        client.send(*(data(1, text[at : at + 16_384], end=False) for at in range(0, len(text), 16_384)))
        client.send(window_update(0, 2 << 20), window_update(1, 2 << 20))
    assert [len(each) for each in client.answer(1).messages] == [(1 << 20) + 1] * 5


# Health


@pytest.mark.parametrize("path", [CHECK, WATCH], ids=["Check", "Watch"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", (13, "one message is wanted, and there is none"), id="none"),
        pytest.param(message(HEALTH) * 2, (13, "one message is taken, and there are two"), id="two"),
        pytest.param(message(b"\xff"), (13, "this is no HealthCheckRequest"), id="garbage"),
        pytest.param(b"\0\0\0\0\1", (13, "the stream ended within a message"), id="half"),
    ],
)
async def test_wrong_questions_of_health(client: Client, path: bytes, sent: bytes, status: tuple[int, str]) -> None:
    client.send(request(1, path=path.decode()), data(1, sent, end=True))
    assert client.answer(1).status == status


async def test_check(client: Client) -> None:
    for stream, sent, status in ((1, HEALTH, OK), (3, OTHER_SERVICE, (5, ""))):
        client.send(request(stream, path=CHECK.decode()), data(stream, message(sent), end=False))
        assert client.answer(stream).status is None  # its end is waited for
        client.send(data(stream, b"", end=True))
        assert client.answer(stream).status == status
    assert client.answer(1).messages == [b"\x08\x02"]
    assert client.answer(3).messages == []


async def test_watch(client: Client) -> None:
    health = client.server._health
    client.send(request(1, path=WATCH.decode()), data(1, message(HEALTH), end=True))
    for serving in (True, True, False):
        health.change(serving=serving)
        await turns()
    assert client.answer(1).messages == [b"\x08\x02", b"\x08\x01", b"\x08\x02"]
    client.peer.leave()
    assert client.answer(1).status == (14, "the server ends")
    health.change(serving=True)
    assert len(client.answer(1).messages) == 3


async def test_whoever_watches_and_goes_is_forgotten(client: Client) -> None:
    for stream in (1, 3):
        client.send(request(stream, path=WATCH.decode()), data(stream, message(HEALTH), end=True))
    client.reset(1)
    client.server._health.change(serving=True)
    await turns()
    assert client.answer(1).messages == [b"\x08\x02"]
    assert client.answer(3).messages == [b"\x08\x02", b"\x08\x01"]
    client.leave()
    assert client.server._health._watchers == set()


async def test_a_watcher_that_does_not_read_gets_the_changes_in_their_order(client: Client) -> None:
    client.send(settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    client.send(request(1, path=WATCH.decode()), data(1, message(HEALTH), end=True))
    for serving in (True, False, True):
        client.server._health.change(serving=serving)
    client.peer.leave()
    client.send(window_update(1, 1000))
    assert client.answer(1).messages == [b"\x08\x02", b"\x08\x01", b"\x08\x02", b"\x08\x01"]
    assert client.answer(1).status == (14, "the server ends")
