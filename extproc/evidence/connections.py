"""The connections to Redis: bounded in number, and made to the end even if whoever needed one has gone.

A request waits for the store for its budget of some milliseconds, then gives up and cancels its call. Making
a connection (TCP, TLS, AUTH) can take longer than that budget. If it were cancelled with the request, a
slow-to-connect store would never come back: each request would begin anew and give up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    UnixDomainSocketConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError


class Prompt(AbstractConnection):
    """A connection that hears at once when its caller gives up; mixed into those of each kind of socket.

    redis-py sends by `asyncio.wait_for`: a task more for each command, and until Python 3.12 a cancellation that
    comes just when it ends is lost, and the budget with it.
    """

    async def send_packed_command(self, command: str | bytes | Iterable[bytes], check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if isinstance(command, str):
            command = command.encode()
        writer = self._writer
        if writer is None:
            raise RedisConnectionError("disconnected meanwhile")
        try:
            async with asyncio.timeout(self.socket_timeout):
                writer.writelines([command] if isinstance(command, bytes) else command)
                await writer.drain()
        except BaseException as error:
            # What was sent of it nobody knows.
            await self.disconnect(nowait=True)
            if isinstance(error, RuntimeError):
                # So uvloop says that the connection was reset since it was last looked at.
                raise RedisConnectionError(f"closed meanwhile: {error}") from error
            raise


class Plain(Prompt, Connection):
    """TCP."""


class Local(Prompt, UnixDomainSocketConnection):
    """A Unix socket."""


class Connections(BlockingConnectionPool):
    """redis-py's blocking pool, except that a cancelled caller leaves its connection being made."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._making: dict[AbstractConnection, asyncio.Task[None]] = {}
        self._closed = False

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if self._closed:
            # Whoever waited for one while the pool was closed: this server is not asked any more.
            raise RedisConnectionError("no longer used")
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
        self._closed = True
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await super().aclose()
