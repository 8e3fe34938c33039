"""redis-py's connections, as they are used here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from extproc.evidence.connections import Local
from tests.support.redis_server import RedisServer

Heard = asyncio.Queue[bytes | Exception]


def local(server: RedisServer) -> Local:
    return Local(path=str(server.socket), protocol=2, socket_timeout=5.0, socket_connect_timeout=5.0)


class Bare(Local):
    """Says nothing to begin with."""

    async def on_connect_check_health(self, check_health: bool = True) -> None: ...


def test_a_connection_that_was_reset_unnoticed_is_a_fault_of_the_connection(redis_server: RedisServer) -> None:
    """uvloop, which serves, raises RuntimeError from a write to it: nobody would take that for an absent store."""

    async def write_to_it() -> None:
        connection = local(redis_server)
        await connection.connect()  # type: ignore[no-untyped-call]
        writer = connection._writer
        assert writer is not None
        writer.transport.abort()
        await asyncio.sleep(0)  # the loop closes it
        with pytest.raises(RedisConnectionError, match="closed"):
            await connection.send_packed_command(b"*1\r\n$4\r\nPING\r\n")
        assert not connection.is_connected

    uvloop.run(write_to_it())


def test_what_is_written_to_a_lost_connection_is_a_fault_of_the_loop(redis_server: RedisServer) -> None:
    """redis_wire.py takes it for the connection's end."""

    async def write_to_it() -> None:
        connection = local(redis_server)
        with pytest.raises(RedisConnectionError, match="disconnected"):
            connection.write(b"x")
        heard = Heard()
        with pytest.raises(RedisConnectionError, match="disconnected"):
            await connection.listen(heard.put_nowait, heard.put_nowait)
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.listen(heard.put_nowait, heard.put_nowait)
        connection.write(b"*1\r\n$4\r\nPING\r\n")
        assert await heard.get() == b"+PONG\r\n"
        connection.write(b"*1\r\n$4\r\nQUIT\r\n")
        assert await heard.get() == b"+OK\r\n"
        assert "closed by the server" in str(await heard.get())
        connection.drop()
        connection.drop()
        assert not connection.is_connected

    uvloop.run(write_to_it())


def test_what_came_before_anybody_listened_is_heard(redis_server: RedisServer) -> None:
    async def listen_late() -> None:
        connection, heard = local(redis_server), Heard()
        await connection.connect()  # type: ignore[no-untyped-call]
        reader = connection._reader
        assert reader is not None
        connection.write(b"*1\r\n$4\r\nPING\r\n")
        while not reader._buffer:  # type: ignore[attr-defined]  # noqa: ASYNC110 - it is the stream's own
            await asyncio.sleep(0)
        await connection.listen(heard.put_nowait, heard.put_nowait)
        assert heard.get_nowait() == b"+PONG\r\n"
        connection.write(b"*1\r\n$4\r\nPING\r\n")
        assert await heard.get() == b"+PONG\r\n"
        connection.drop()
        assert isinstance(await heard.get(), RedisConnectionError)
        assert heard.empty()

    uvloop.run(listen_late())


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_an_end_that_came_before_anybody_listened_is_told(run: Callable[..., None], tmp_path: Path) -> None:
    async def listen_late() -> None:
        path, heard = tmp_path / "s", Heard()
        ended = asyncio.Event()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            ended.set()

        async with await asyncio.start_unix_server(client, path):
            connection = Bare(path=str(path))
            await connection.connect()  # type: ignore[no-untyped-call]
            reader = connection._reader
            assert reader is not None
            while not reader.at_eof():  # noqa: ASYNC110 - it is the stream's own
                await asyncio.sleep(0)
            with pytest.raises(RedisConnectionError, match="closed by the server"):
                await connection.listen(heard.put_nowait, heard.put_nowait)
            connection.drop()
        assert heard.empty()

    run(listen_late())


async def test_a_connection_that_is_lost_says_why(tmp_path: Path) -> None:
    path, heard = tmp_path / "s", Heard()
    clients: list[asyncio.StreamWriter] = []
    begun = asyncio.Event()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        begun.set()

    async with await asyncio.start_unix_server(client, path):
        connection = Bare(path=str(path))
        await connection.connect()  # type: ignore[no-untyped-call]
        await connection.listen(heard.put_nowait, heard.put_nowait)
        await begun.wait()
        clients[0].close()
        assert "closed by the server" in str(await heard.get())
        assert heard.empty()
        connection.drop()
