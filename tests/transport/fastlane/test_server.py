"""The server: what it takes, whom it waits for, and how it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from extproc.routing.message import Unread
from extproc.transport.fastlane import server as module
from extproc.transport.fastlane.patience import Patience
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpc_wire import message
from extproc.transport.http2.frame import PREFACE, Setting, data, ping, settings, window_update
from extproc.transport.service import METHOD
from tests.transport.fastlane.conftest import Timed, turns
from tests.transport.fastlane.wire import Client, Field, request
from tests.transport.http2.dialogue import OPENING, frames, raw, told_frame
from tests.transport.test_conformance import Scripted

NewClient = Callable[..., Client]


# What it takes


@pytest.mark.parametrize("kind", [b"application/grpc", b"application/grpc+proto", b"application/grpc;a=b"])
async def test_grpc(client: Client, kind: bytes) -> None:
    client.send(request(1, kind=kind))
    client.ask(1, b"a", end=True)
    await turns()
    assert client.answer(1).messages == [b"<a"]


@pytest.mark.parametrize(
    ("method", "kind"), [(b"GET", b"application/grpc"), (b"POST", b"application/json"), (b"POST", b"")]
)
async def test_what_is_not_grpc(client: Client, method: bytes, kind: bytes) -> None:
    client.send(request(1, method=method, kind=kind), data(1, b"under way", end=True), ping(b"12345678"))
    assert client.answer(1).head == {":status": "415"}
    assert client.sent() == ["HEADERS 1 end", "RST_STREAM 1 NO_ERROR", "PING ack 12345678"]


@pytest.mark.parametrize(
    ("more", "path", "status"),
    [
        pytest.param(
            ((b"grpc-encoding", b"gzip"),),
            METHOD,
            (12, "compressed messages are not taken; send identity"),
            id="compressed",
        ),
        pytest.param(((b"grpc-timeout", b"soon"),), METHOD, (3, "grpc-timeout is no timeout"), id="timeout"),
        pytest.param((), "/other", (12, "there is no such method here"), id="method"),
        pytest.param((), "/grpc.health.v1.Health/List", (12, "there is no such method here"), id="health's"),
    ],
)
async def test_refusals(client: Client, more: tuple[Field, ...], path: str, status: tuple[int, str]) -> None:
    client.send(request(1, *more, path=path), data(1, b"under way", end=True))
    answer = client.answer(1)
    assert (answer.status, answer.trailers, answer.ended) == (status, {}, True)
    assert answer.head["content-type"] == "application/grpc"
    assert client.sent()[1:] == ["RST_STREAM 1 NO_ERROR"]


async def test_identity_is_no_compression(client: Client) -> None:
    client.send(request(1, (b"grpc-encoding", b"identity"), (b"grpc-accept-encoding", b"gzip")))
    client.ask(1, b"a")
    await turns()
    assert client.answer(1).messages == [b"<a"]


async def test_traceparents_of_calls_that_differ_in_nothing_else(client: Client, scripted: Scripted) -> None:
    for stream in (1, 3, 5):
        client.send(request(stream, (b"traceparent", b"%055d" % stream)))
    assert scripted.traceparents == [f"{stream:055}" for stream in (1, 3, 5)]


# Envoy


async def test_envoy_resets_each_stream_once_it_has_its_reply(client: Client) -> None:
    for stream in range(1, 6001, 2):
        client.send(request(stream), data(stream, message(b"a"), end=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        client.send(data(stream, b"", end=True))
        client.reset(stream)
        client.wire.written, kept = client.wire.written[:0], client.wire.written
        assert b"<a" in kept
    assert not client.wire.closed
    assert client.server.streams == 0


async def test_streams_that_are_given_up_too_fast_are_all_given_back(new_client: NewClient) -> None:
    client = new_client()
    client.open()
    with structlog.testing.capture_logs() as logs:
        for stream in range(1, 40_001, 2):
            client.send(request(stream))
            client.reset(stream)
            if client.wire.closed:
                break
        client.leave()
    assert client.sent()[-1].endswith("ENHANCE_YOUR_CALM")
    assert client.server.streams == 0
    assert [line["event"] for line in logs] == ["connection refused"]


# Whom it waits for


@pytest.mark.parametrize("said", [b"", b"P", PREFACE, PREFACE + b"\0\0\0\4"])
async def test_a_connection_that_never_speaks(new_client: NewClient, timed: Timed, said: bytes) -> None:
    client = new_client()
    for at in range(len(said)):
        client.send(said[at : at + 1])
    await timed.advance(9.9)
    assert not client.wire.closed
    with structlog.testing.capture_logs() as logs:
        await timed.advance(0.2)
    assert client.wire.aborted
    assert [line["error"] for line in logs] == ["the client sends or reads nothing"]


async def test_one_that_has_spoken_may_be_silent(client: Client, timed: Timed) -> None:
    await timed.advance(100_000)
    client.send(request(1))
    client.ask(1, b"a")
    await turns()
    assert client.answer(1).messages == [b"<a"]


async def test_a_client_that_does_not_read_is_not_read_from_and_given_up(client: Client, timed: Timed) -> None:
    client.peer.pause_writing()
    assert client.wire.paused
    await timed.advance(29.9)
    client.peer.resume_writing()
    assert not client.wire.paused
    await timed.advance(1000)
    assert not client.wire.closed
    client.peer.pause_writing()
    with structlog.testing.capture_logs():
        await timed.advance(30.1)
    assert client.wire.aborted


async def test_the_last_words_are_not_waited_for_endlessly(client: Client, timed: Timed) -> None:
    client.send(raw(6, 0, 1, bytes(8)))
    assert client.wire.closed
    client.peer.resume_writing()
    assert not client.wire.aborted
    await timed.advance(30.1)
    assert client.wire.aborted


async def test_too_many_connections(new_client: NewClient) -> None:
    server = new_client().server
    last = [new_client(server) for _ in range(module._MOST_CONNECTIONS - 1)][-1]
    with structlog.testing.capture_logs() as logs:
        beyond = new_client(server)
    assert [each.wire.aborted for each in (last, beyond)] == [False, True]
    assert [line["error"] for line in logs] == ["1000 connections are open"]
    beyond.peer.connection_lost(None)
    last.leave()
    assert not new_client(server).wire.closed


# With sockets: what the loop does with them


class AtOnce:
    def stream(self, traceparent: str | Unread) -> AtOnce:
        return self

    def receive(self, data: bytes) -> bytes:
        return data


@asynccontextmanager
async def serving(
    tmp_path: Path, scripted: Scripted | AtOnce, patience: Patience | None = None
) -> AsyncIterator[Any]:
    server = FastlaneServer(f"unix:{tmp_path}/w.sock", scripted.stream, max_streams=5, patience=patience)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)
    assert server.streams == 0


async def told_until_the_end(reader: asyncio.StreamReader) -> list[str]:
    async with asyncio.timeout(20):
        return [told_frame(each) for each in frames(await reader.read())]


async def speaking(tmp_path: Path, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client to which the server has said its first words."""
    reader, writer = await asyncio.open_unix_connection(tmp_path / "w.sock")
    writer.write(b"".join((OPENING, *parts)))
    await reader.readexactly(9 + 24 + 13 + 9)
    return reader, writer


async def test_stop_ends_who_is_idle_when_he_has_answered(tmp_path: Path, scripted: Scripted) -> None:
    async with serving(tmp_path, scripted) as server:
        reader, writer = await speaking(tmp_path)
        stopping = asyncio.create_task(server.stop(grace=60))
        assert len(await reader.readexactly(17 + 17)) == 34
        writer.write(ping(b"goodbye!", ack=True))
        assert await told_until_the_end(reader) == ["GOAWAY 0 NO_ERROR"]
        await asyncio.wait_for(stopping, 20)
        writer.close()


async def test_stop_ends_who_does_not_answer_after_its_grace(tmp_path: Path, scripted: Scripted) -> None:
    async with serving(tmp_path, scripted) as server:
        reader, writer = await speaking(tmp_path, request(1), data(1, message(b"wait"), end=False))
        await scripted.arrived.wait()
        await asyncio.wait_for(server.stop(grace=0), 20)
        assert await told_until_the_end(reader) == [
            *("GOAWAY 2147483647 NO_ERROR", "PING goodbye!", "GOAWAY 1 NO_ERROR")
        ]
        assert scripted.cancelled.is_set()
        writer.close()


async def test_stop_waits_for_what_is_running(tmp_path: Path, scripted: Scripted) -> None:
    async with serving(tmp_path, scripted) as server:
        reader, writer = await speaking(tmp_path, request(1), data(1, message(b"wait"), end=True))
        await scripted.arrived.wait()
        stopping = asyncio.create_task(server.stop(grace=60))
        await reader.readexactly(34)
        writer.write(ping(b"goodbye!", ack=True))
        assert len(await reader.readexactly(17)) == 17
        assert not stopping.done()
        scripted.release.set()
        assert await told_until_the_end(reader) == ["HEADERS 1", "DATA 1 10", "HEADERS 1 end"]
        await asyncio.wait_for(stopping, 20)
        writer.close()


async def test_a_connection_that_comes_while_it_stops_is_not_taken(new_client: NewClient) -> None:
    first = new_client()
    first.leave()
    await first.server.stop(0)
    late = new_client(first.server)
    assert late.wire.aborted


async def test_a_client_that_never_reads(tmp_path: Path) -> None:
    # Each message of his has a reply, and he lets them all out: what he leaves unread is kept, up to a bound.
    text = message(b"x" * 16_000)
    async with serving(tmp_path, AtOnce(), Patience(reads_within=0.2)) as server:
        with socket.socket(socket.AF_UNIX) as deaf, structlog.testing.capture_logs() as logs:
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, f"{tmp_path}/w.sock")
            wide = 2**31 - 1 - 65_535
            opened = settings({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}), window_update(0, wide)
            most = 0
            sent = 0
            try:
                async with asyncio.timeout(60):
                    await loop.sock_sendall(deaf, b"".join((OPENING, *opened, request(1))))
                    while True:
                        await loop.sock_sendall(deaf, data(1, text, end=False))
                        sent += len(text)
                        for peer in server._peers:
                            most = max(most, peer._transport.get_write_buffer_size())
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert sent < 64 << 20
            assert 1 << 20 < most < 3 << 20
            assert await server._all_gone(20)
        assert [line["error"] for line in logs] == ["the client sends or reads nothing"]


async def test_a_fault_of_a_connection_is_told_to_its_client_and_logged(tmp_path: Path, scripted: Scripted) -> None:
    async with serving(tmp_path, scripted) as server:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "w.sock")
        with structlog.testing.capture_logs() as logs:
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await told_until_the_end(reader))[-1] == "GOAWAY 0 PROTOCOL_ERROR"
            assert await server._all_gone(20)
        assert [(line["event"], line["error"]) for line in logs] == [
            ("connection refused", "PROTOCOL_ERROR: this is no preface of HTTP/2")
        ]
        writer.close()
