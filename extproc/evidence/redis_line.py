"""The way to one Redis server: a connection that is made when first used, and anew when it is lost.

Rules
1. What is asked in one turn of the event loop goes out as one write: at load that is most of it.
2. Making a connection (TCP, TLS, AUTH) may take longer than a request waits for the store. It goes on when whoever
   needed it has given up, or a store that is slow to connect to would never come back.
3. Nobody's commands are sent once he has given up. There is no second try either: who loses his connection hears of
   it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from extproc.evidence.connections import Prompt
from extproc.evidence.reach import Command
from extproc.evidence.redis_wire import Asked, Told, Wire


class Line:
    """`answers` may be called by many at once."""

    def __init__(self, connection: Callable[[], Prompt], patience: float) -> None:
        """`connection` makes one that is not connected yet. `patience`: seconds, for connecting and for answers."""
        self._connection = connection
        self._patience = patience
        self._wire: Wire | None = None
        self._wires: set[Wire] = set()
        """All that are not at their end: the one that is used, and those that are left."""
        self._making: asyncio.Task[None] | None = None
        self._waiting: list[Asked] = []
        self._closed = False

    async def answers(self, *commands: Command) -> list[Any]:
        """Each command's answer, or the error that it is. Raises redis' errors and OSError when there was none."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        asked = self.ask(partial(_resolve, answer), commands)
        try:
            return await answer
        finally:
            asked.give_up()

    def ask(self, told: Told, commands: Sequence[Command]) -> Asked:
        """The same without waiting: `told` hears the answers, or redis' errors and OSError."""
        asked = Asked(commands, told)
        if self._closed:
            asked.tell(RedisConnectionError("no longer used"))
            return asked
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append(asked)
        return asked

    def renew(self) -> None:
        """The next commands go by a new connection. What was asked is still answered."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.leave()

    async def close(self) -> None:
        self._closed = True
        self._fail(RedisConnectionError("no longer used"))
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
        for wire in list(self._wires):
            wire.close()

    def _send(self) -> None:
        if self._wire is None:
            if self._making is None and not self._closed:
                self._making = asyncio.create_task(self._make())
            return
        waiting = [asked for asked in self._waiting if not asked.over]
        self._waiting.clear()
        if waiting:
            self._wire.send(waiting)

    async def _make(self) -> None:
        connection: Prompt | None = None
        try:
            connection = self._connection()
            async with asyncio.timeout(self._patience):
                await connection.connect()  # type: ignore[no-untyped-call]
        except Exception as error:
            # Whatever it is, whoever waits hears of it, and the next one tries anew.
            self._fail(error)
            if connection is not None:
                with suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
        else:
            self._wire = wire = Wire(connection, self._patience, self._ended)
            self._wires.add(wire)
            await wire.listen()
        finally:
            self._making = None
        if self._waiting and not self._closed:
            self._send()

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            asked.tell(error)

    def _ended(self, wire: Wire) -> None:
        self._wires.discard(wire)
        if self._wire is wire:
            self._wire = None


def _resolve(answer: asyncio.Future[list[Any]], outcome: list[Any] | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
