"""The WAN: order and content stay, each byte is late by half a round trip, and nothing else is lost."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from extproc.sandbox import relay
from extproc.sandbox.image import content
from extproc.sandbox.ports import HOST, Ports

RTT = 0.1
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def clock() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def relayed(target: int, rtt: float, mbit: float = 0) -> AsyncIterator[Streams]:
    """A connection through the relay, a process as in the sandbox, to a port."""
    with Ports() as ports:
        port = ports.take()
        command = [sys.executable, "-m", "extproc.sandbox.relay", f"{HOST}:{port}", f"{HOST}:{target}"]
        line = await asyncio.create_subprocess_exec(
            *command, "--rtt", str(rtt * 1000), "--mbit", str(mbit), stdout=asyncio.subprocess.PIPE
        )
        assert line.stdout is not None
        assert await line.stdout.readline() == b"listening\n"
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            yield reader, writer
        finally:
            writer.close()
            line.terminate()
            assert await line.wait() == 0


@asynccontextmanager
async def across(serve: Serve, rtt: float = RTT, mbit: float = 0) -> AsyncIterator[Streams]:
    """A connection through the relay to a server."""
    server = await asyncio.start_server(serve, HOST, 0)
    async with relayed(server.sockets[0].getsockname()[1], rtt, mbit) as streams:
        yield streams
    server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_set_up_costs_one_round_trip_and_each_question_another() -> None:
    async with across(echo) as (reader, writer):
        for trips in (2, 1, 1):
            began = clock()
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            assert clock() - began >= trips * RTT - 0.005


async def test_bytes_wait_side_by_side() -> None:
    """A hundred pieces, sent one by one, are late by one round trip together, not by a hundred."""
    async with across(echo) as (reader, writer):
        pieces = [f"{number:03}".encode() for number in range(100)]
        began = clock()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(300) == b"".join(pieces)
        assert 2 * RTT - 0.005 <= clock() - began < 20 * RTT


async def test_much_data_arrives_whole_and_then_its_end() -> None:
    data = content(40 * 1024 * 1024)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    async with across(serve, rtt=0.02) as (reader, _):
        assert await reader.read() == data


async def test_a_half_close_leaves_the_other_direction_open() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(b"got " + question)
        await writer.drain()
        writer.close()

    async with across(serve) as (reader, writer):
        writer.write(b"all of it")
        writer.write_eof()
        assert await reader.read() == b"got all of it"


async def test_a_server_that_speaks_first_is_heard_after_a_round_trip() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    async with across(serve, rtt=0.3) as (reader, _):
        began = clock()  # a little after the accept
        assert await reader.read() == b"hello"
        assert clock() - began >= 0.25


async def test_a_reset_by_the_client_reaches_the_server() -> None:
    broken = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(2)
        except OSError as error:
            broken.set_result(error)
        writer.close()

    async with across(serve, rtt=0.02) as (_, writer):
        writer.write(b"x")
        await asyncio.sleep(0.1)
        # SO_LINGER of zero seconds: close sends a reset.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        assert isinstance(await asyncio.wait_for(broken, 2), ConnectionResetError)


async def test_a_target_that_refuses_breaks_the_connection_after_a_round_trip() -> None:
    with Ports() as ports:
        async with relayed(ports.take(), rtt=0.3) as (reader, writer):
            began = clock()
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert clock() - began >= 0.25


async def test_what_is_under_way_is_bounded() -> None:
    """A client that does not read stops the server, instead of filling the relay's memory."""
    sent = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 20 * relay.BUFFER:
            writer.write(bytes(1024 * 1024))
            await writer.drain()
            sent += 1024 * 1024

    async with across(serve, rtt=0.01) as (reader, _):
        await reader.readexactly(1)
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 2 * relay.BUFFER


async def test_a_link_carries_no_more_than_it_can() -> None:
    """A million bytes at 40 Mbit/s are under way for 0.2 s, there and back for as long again, whole and in order."""
    sent = content(1_000_000)
    async with across(echo, 0, mbit=40) as (reader, writer):
        began = clock()
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == sent
        assert clock() - began >= 0.2
