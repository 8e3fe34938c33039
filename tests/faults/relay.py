"""A TCP relay whose way of failing can be changed at any time, for connections that are open too.

Rules
1. `passing` forwards; `slow` forwards what the server says `delay` seconds later.
2. `dropping` holds all bytes, as a network that loses packets does: what was held arrives when it is over.
3. `resetting` breaks every connection, open and new.
4. `answering` speaks in the server's place. Connections that were answered so are broken when it is over.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self

from tests.support.ports import free_port

Mode = Literal["passing", "slow", "dropping", "resetting", "answering"]
Responder = Callable[[bytes], bytes]
"""Of one connection: given the next bytes of the client, the bytes that answer them."""
_CHUNK: Final = 65536


class _Connection:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.answered: Responder | None = None

    def reset(self) -> None:
        for writer in self.writers:
            if not writer.transport.is_closing():
                # Zero seconds of lingering make the close a reset (socket(7)).
                peer = writer.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()


class FaultRelay:
    """`async with FaultRelay() as relay`, then set `target`, the port of the server on loopback."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target: Callable[[], int] | None = None
        self.troubled = 0
        """How often somebody met one of the ways of failing."""
        self._mode: Mode = "passing"
        self._delay = 0.0
        self._new_responder: Callable[[], Responder] | None = None
        self._open: set[_Connection] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self._open):
            connection.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def become(self, mode: Mode, *, delay: float = 0.0, responder: Callable[[], Responder] | None = None) -> None:
        """From now on. `delay` in seconds, with `slow`; `responder`, with `answering`, makes one for a connection."""
        before, self._mode, self._delay, self._new_responder = self._mode, mode, delay, responder
        if mode == "dropping":
            self._flowing.clear()
        else:
            self._flowing.set()
        for connection in list(self._open):
            if mode == "resetting" or (before == "answering" and connection.answered is not None):
                connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = _Connection(writer)
        self._open.add(connection)
        try:
            if self._mode == "resetting":
                self.troubled += 1
                return
            await self._relay(connection, reader, writer)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            connection.reset()
            self._open.discard(connection)
            self._tasks.discard(task)

    async def _relay(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back: asyncio.Task[None] | None = None
        server: asyncio.StreamWriter | None = None
        try:
            while data := await reader.read(_CHUNK):
                self.troubled += self._mode != "passing"
                await self._flowing.wait()
                if self._mode == "answering" and self._new_responder is not None:
                    if connection.answered is None:
                        connection.answered = self._new_responder()
                    writer.write(connection.answered(data))
                    continue
                if server is None:
                    assert self.target is not None
                    from_server, server = await asyncio.open_connection("127.0.0.1", self.target())
                    connection.writers.append(server)
                    back = asyncio.create_task(self._back(connection, from_server, writer))
                server.write(data)
                await server.drain()
        finally:
            if back is not None:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)

    async def _back(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """What the server says; its end ends the client's connection."""
        try:
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                if connection.answered is None:
                    writer.write(data)
                    await writer.drain()
            writer.close()
        except OSError:
            connection.reset()


def http_answers(status: int) -> Callable[[], Responder]:
    """Every request gets this status, except the API base: there the health check sees a registry that lives."""

    def new() -> Responder:
        held = bytearray()
        skip = 0

        def respond(data: bytes) -> bytes:
            nonlocal skip
            held.extend(data)
            said = b""
            while True:
                skipped = min(skip, len(held))
                del held[:skipped]
                skip -= skipped
                head, end, _ = bytes(held).partition(b"\r\n\r\n")
                if skip or not end:
                    return said
                del held[: len(head) + 4]
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                skip = int(length[1]) if length else 0
                code = 401 if head.split(b" ", 2)[1] == b"/v2/" else status
                said += b"HTTP/1.1 %d Stand-in\r\ncontent-length: 0\r\n\r\n" % code

        return respond

    return new


def redis_answers(reply: bytes) -> Callable[[], Responder]:
    """Every command gets this reply, a line without its end (RESP2: commands are arrays of bulk strings)."""

    def new() -> Responder:
        held = bytearray()

        def respond(data: bytes) -> bytes:
            held.extend(data)
            said = b""
            while (length := _command_length(bytes(held))) > 0:
                del held[:length]
                said += reply + b"\r\n"
            return said

        return respond

    return new


def _command_length(data: bytes) -> int:
    """Of the first command, in bytes; 0 where it is not yet complete."""
    line, end, _ = data.partition(b"\r\n")
    if not end:
        return 0
    at = len(line) + 2
    for _ in range(int(line[1:])):
        line, end, _ = data[at:].partition(b"\r\n")
        if not end:
            return 0
        at += len(line) + 2 + int(line[1:]) + 2
        if at > len(data):
            return 0
    return at
