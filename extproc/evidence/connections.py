"""The connections to Redis: bounded in number, and made to the end even if whoever needed one has gone.

A request waits for the store for its budget of some milliseconds, then gives up and cancels its call. Making
a connection (TCP, TLS, AUTH) can take longer than that budget. If it were cancelled with the request, a
slow-to-connect store would never come back: each request would begin anew and give up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool


class Connections(BlockingConnectionPool):
    """redis-py's blocking pool, except that a cancelled caller leaves its connection being made."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._making: dict[AbstractConnection, asyncio.Task[None]] = {}

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if connection.is_connected and connection not in self._making:
            await super().ensure_connection(connection)
            return
        task = self._making.get(connection)
        if task is None:
            task = asyncio.create_task(super().ensure_connection(connection))
            self._making[connection] = task
            task.add_done_callback(lambda done: self._made(connection, done))
        await asyncio.shield(task)

    def _made(self, connection: AbstractConnection, task: asyncio.Task[None]) -> None:
        del self._making[connection]
        if not task.cancelled():
            task.exception()  # Whoever waited has it; if nobody did, it is nobody's concern.

    async def aclose(self) -> None:
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await super().aclose()
