"""One connection to Redis on which many wait for answers at once (pipelining).

redis-py makes the connection: TLS, user, password and database are its business, and so is what an answer means. Its
pool and pipelines are not used, for they cost a question several times what Redis' own answer does: a connection
borrowed and returned under locks, and a timer for each answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from extproc.evidence.connections import Prompt
from extproc.evidence.reach import Command

packed: Final[Callable[[Command], bytes]] = hiredis.pack_command  # type: ignore[assignment]
_NOTHING: Final = object()
"""No whole answer is there yet."""


Told = Callable[[list[Any] | Exception], None]
"""Hears each command's answer, or the error that it is; or why there was none. Raises nothing."""


class Asked:
    """Commands that somebody waits for the answers of."""

    __slots__ = ("_told", "came", "commands", "over")

    def __init__(self, commands: Sequence[Command], told: Told) -> None:
        self.commands = commands
        self._told: Told | None = told
        self.came: list[Any] = []
        self.over = False
        """It was told, or nobody waits any more."""

    def tell(self, outcome: list[Any] | Exception) -> None:
        # Let go of: whoever is told knows this, too, and rings are left to the collector.
        told, self._told = self._told, None
        if not self.over and told is not None:
            self.over = True
            told(outcome)

    def give_up(self) -> None:
        """Nobody waits any more."""
        self.over = True
        self._told = None


class Wire:
    """A connection that has been made. Its end is told once, by `on_end`; who waits then hears of it by an error."""

    def __init__(self, connection: Prompt, patience: float, on_end: Callable[[Wire], None]) -> None:
        """`patience`: seconds after which a server that answers nothing is taken for dead."""
        self._connection = connection
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse, replyError=connection.error, notEnoughData=_NOTHING
        )
        self._loop = asyncio.get_running_loop()
        """Asked for once: it costs a call of the system."""
        self._patience = patience
        self._on_end = on_end
        self._sent: deque[Asked] = deque()
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._ended = False

    async def listen(self) -> None:
        """To begin with. Waits for nothing that may not come."""
        try:
            await self._connection.listen(self._heard, self._end)
        except (RedisError, OSError) as error:
            self._end(error)

    def send(self, asked: Sequence[Asked]) -> None:
        """In one write, and in order."""
        try:
            self._connection.write(b"".join(packed(each) for one in asked for each in one.commands))
        except (OSError, RuntimeError, RedisError) as error:
            # RuntimeError: so uvloop says that it was reset since it was last looked at.
            self._sent.extend(asked)
            self._end(RedisConnectionError(f"closed meanwhile: {error}"))
            return
        if not self._sent:
            self._heard_at = self._loop.time()
        self._sent.extend(asked)
        if self._timer is None:
            self._wait(self._patience)

    def leave(self) -> None:
        """End once all that was asked is answered."""
        self._leaving = True
        if not self._sent:
            self._end(RedisConnectionError("no longer used"))

    def close(self) -> None:
        """Now."""
        self._end(RedisConnectionError("no longer used"))

    def _heard(self, data: bytes) -> None:
        now = self._loop.time()
        try:
            self._parser.feed(data)
            while not self._ended and (answer := self._parser.gets()) is not _NOTHING:
                self._heard_at = now
                self._came(answer)
        except RedisError as error:
            self._end(error)

    def _came(self, answer: Any) -> None:
        if isinstance(answer, RedisConnectionError):
            raise answer  # it is about the connection: the server is loading, or takes no more clients
        if not self._sent:
            raise RedisConnectionError("an answer to nothing")
        asked = self._sent[0]
        asked.came.append(answer)
        if len(asked.came) == len(asked.commands):
            self._sent.popleft()
            asked.tell(asked.came)
            if self._leaving and not self._sent:
                self._end(RedisConnectionError("no longer used"))

    def _wait(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._sent:
            return
        left = self._heard_at + self._patience - self._loop.time()
        if left > 0:
            self._wait(left)
        else:
            self._end(RedisTimeoutError(f"no answer within {self._patience:g} s"))

    def _end(self, error: Exception) -> None:
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._connection.drop()
        sent = list(self._sent)
        self._sent.clear()
        for asked in sent:
            asked.tell(error)
        self._on_end(self)
