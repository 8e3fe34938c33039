"""The pool beyond what the store's own tests show (test_redis.py: slow connections, cancellation, closing)."""

from __future__ import annotations

import asyncio
import random

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from extproc.evidence.connections import Connections, Local
from extproc.evidence.redis_single import SingleRedis
from tests.support.redis_server import RedisServer


async def test_who_waits_for_a_connection_of_a_closed_pool_gets_none(redis_server: RedisServer) -> None:
    """Its server is not the master any more: a connection made now would ask it all the same."""
    pool = Connections(connection_class=Local, path=str(redis_server.socket), max_connections=1, timeout=10)
    held = await pool.get_connection()  # type: ignore[no-untyped-call]
    waiting = asyncio.create_task(pool.get_connection())  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)
    await pool.aclose()
    await pool.release(held)
    with pytest.raises(RedisConnectionError, match="no longer used"):
        await waiting


async def test_a_cancellation_is_never_lost(redis_server: RedisServer) -> None:
    """A lost one would end the budget's watch over a call: it could wait for a second."""
    pool = Connections(connection_class=Local, path=str(redis_server.socket), socket_timeout=5.0, protocol=2)
    server = SingleRedis(pool, "redis")
    chance = random.Random(1)

    async def ask_for_ever() -> None:
        while True:
            await server.round_trip(("PING",))

    await server.round_trip(("PING",))
    for _ in range(100):
        asking = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(chance.uniform(0.0005, 0.002))
        asking.cancel()
        _, going_on = await asyncio.wait({asking}, timeout=1.0)
        asking.cancel()
        assert not going_on
    await server.close()


def test_a_connection_that_was_reset_unnoticed_is_a_fault_of_the_connection(redis_server: RedisServer) -> None:
    """uvloop, which serves, raises RuntimeError from a write to it: nobody would take that for an absent store."""

    async def write_to_it() -> None:
        connection = Local(path=str(redis_server.socket), protocol=2)
        await connection.connect()  # type: ignore[no-untyped-call]
        writer = connection._writer
        assert writer is not None
        writer.transport.abort()
        await asyncio.sleep(0)  # the loop closes it
        with pytest.raises(RedisConnectionError, match="closed"):
            await connection.send_packed_command(b"*1\r\n$4\r\nPING\r\n")
        assert not connection.is_connected

    uvloop.run(write_to_it())
