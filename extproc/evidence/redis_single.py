"""One Redis server at one address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def ask(self, told: Told, commands: Sequence[Command]) -> Asked:
        """`told` hears what came of them, of which `meaning` says what it is."""
        return self._line.ask(told, commands)

    def meaning(self, outcome: list[Any] | Exception) -> list[Any] | Exception:
        """The answers, or what `round_trip` raises."""
        if isinstance(outcome, list):
            for answer in outcome:
                if isinstance(answer, Exception):
                    return self._refusal(outcome)
            return outcome
        return unavailable(self.name, outcome) if isinstance(outcome, _NO_ANSWER) else outcome

    def _refusal(self, answers: list[Any]) -> list[Any] | Exception:
        self._look_at(answers)
        try:
            return checked(self.name, answers)
        except (NoScript, StoreUnavailable) as error:
            # By its traceback it would know this frame, which knows it: rings are left to the collector.
            return error.with_traceback(None)

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
