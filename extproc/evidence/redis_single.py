"""One Redis server at one address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from redis.exceptions import ReadOnlyError, RedisError

from extproc.evidence.connections import Prompt
from extproc.evidence.reach import Command, NoScript, Reach, checked, unavailable
from extproc.evidence.redis_line import Line
from extproc.evidence.redis_wire import Asked, Told
from extproc.evidence.store import StoreUnavailable

_NO_ANSWER: Final = (RedisError, OSError, TimeoutError)


class SingleRedis:
    """`Reach` to the one server that the connections lead to. Connects when first used."""

    def __init__(self, connection: Callable[[], Prompt], name: str, *, patience: float) -> None:
        """`connection` makes one; `name` says which server it is, in errors. `patience`: seconds for a connection,
        and for an answer of whoever waits longer than a request does."""
        self._line = Line(connection, patience)
        self.name = name

    async def answers(self, *commands: Command) -> list[Any]:
        """Each command's answer or error. Raises StoreUnavailable when there was none."""
        try:
            answers = await self._line.answers(*commands)
        except _NO_ANSWER as error:
            raise unavailable(self.name, error) from error
        self._look_at(answers)
        return answers

    async def round_trip(self, *commands: Command) -> list[Any]:
        return checked(self.name, await self.answers(*commands))

    def ask(self, told: Told, *commands: Command) -> Asked:
        return self._line.ask(partial(self._tell, told), *commands)

    def _tell(self, told: Told, outcome: list[Any] | Exception) -> None:
        if isinstance(outcome, list):
            self._look_at(outcome)
            try:
                outcome = checked(self.name, outcome)
            except (NoScript, StoreUnavailable) as error:
                # By its traceback it would know this frame, which knows it: rings are left to the collector.
                outcome = error.with_traceback(None)
        elif isinstance(outcome, _NO_ANSWER):
            outcome = unavailable(self.name, outcome)
        told(outcome)

    def _look_at(self, answers: list[Any]) -> None:
        for answer in answers:
            if isinstance(answer, Exception) and _is_read_only(answer):
                # A demoted master: the address may lead to the new one by now, this connection never will.
                self._line.renew()
                return

    def raise_if_unsettled(self) -> None:
        """Never: the same server is there, or was away, which its callers have seen."""

    async def masters(self) -> Sequence[Reach]:
        return (self,)

    async def close(self) -> None:
        await self._line.close()


def _is_read_only(answer: Exception) -> bool:
    return isinstance(answer, ReadOnlyError) or "READONLY" in str(answer)
