"""redis-py's connections, made and closed by it. How many use one at once is our business (redis_wire.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError


class _Listening(asyncio.Protocol):
    """Hands on what comes. A stream would keep it for a task, which goes on two turns of the loop later."""

    def __init__(
        self,
        came: Callable[[bytes], None],
        ended: Callable[[Exception], None],
        stream: asyncio.BaseProtocol,
    ) -> None:
        """`stream` is what heard before, and still hears what is said of writing, and of the end."""
        self._came = came
        self._ended = ended
        self._stream = stream

    def data_received(self, data: bytes) -> None:
        self._came(data)

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.connection_lost(exc)
        self._ended(exc or RedisConnectionError("closed by the server"))


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
        self._writer.transport.write(data)

    async def listen(self, came: Callable[[bytes], None], ended: Callable[[Exception], None]) -> None:
        """From now on `came` is told what comes, in the turn of the loop in which it does, and `ended` of the end,
        once. To be called once. Raises redis' ConnectionError and OSError where the end has come already."""
        if self._reader is None or self._writer is None:
            raise RedisConnectionError("disconnected meanwhile")
        transport, reader = self._writer.transport, self._reader
        if transport.is_closing() or reader.at_eof():
            raise RedisConnectionError("closed by the server")
        transport.set_protocol(_Listening(came, ended, transport.get_protocol()))
        # The stream hears no more; what it has kept is given at once.
        reader.feed_eof()
        kept = await reader.read()
        if kept:
            came(kept)

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
