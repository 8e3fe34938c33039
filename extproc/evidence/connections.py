"""redis-py's connections, made and closed by it. How many use one at once is our business (redis_wire.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError

_READ_SIZE: Final = 65_536
"""Bytes."""


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

    def write(self, data: bytes) -> None:
        """Without waiting. Raises redis' ConnectionError, and what the loop raises for a lost one."""
        if self._writer is None:
            raise RedisConnectionError("disconnected meanwhile")
        self._writer.write(data)

    async def read(self) -> bytes:
        """What comes next, at least a byte. Raises redis' ConnectionError at the end, and OSError."""
        if self._reader is None:
            raise RedisConnectionError("disconnected meanwhile")
        data: bytes = await self._reader.read(_READ_SIZE)
        if not data:
            raise RedisConnectionError("closed by the server")
        return data

    def error(self, text: str) -> Exception:
        """What an error of the server means."""
        error: Exception = self._parser.parse_error(text)  # type: ignore[no-untyped-call]
        return error

    def drop(self) -> None:
        """End it, without waiting."""
        self._close()  # type: ignore[no-untyped-call]


class Plain(Prompt, Connection):
    """TCP."""


class Local(Prompt, UnixDomainSocketConnection):
    """A Unix socket."""
