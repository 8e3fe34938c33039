"""redis-py's connections, as they are used here."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from extproc.evidence.connections import Local
from tests.support.redis_server import RedisServer


def local(server: RedisServer) -> Local:
    return Local(path=str(server.socket), protocol=2, socket_timeout=5.0, socket_connect_timeout=5.0)


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
        with pytest.raises(RedisConnectionError, match="disconnected"):
            await connection.read()
        await connection.connect()  # type: ignore[no-untyped-call]
        connection.write(b"*1\r\n$4\r\nPING\r\n")
        assert await connection.read() == b"+PONG\r\n"
        connection.write(b"*1\r\n$4\r\nQUIT\r\n")
        assert await connection.read() == b"+OK\r\n"
        with pytest.raises(RedisConnectionError, match="closed by the server"):
            await connection.read()
        connection.drop()
        connection.drop()
        assert not connection.is_connected

    uvloop.run(write_to_it())
