"""The pool beyond what the store's own tests show (test_redis.py: slow connections, cancellation, closing)."""

from __future__ import annotations

import asyncio
import random

import pytest
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
