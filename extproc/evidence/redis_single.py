"""One Redis server at one address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ReadOnlyError, RedisError

from extproc.evidence.connections import Prompt
from extproc.evidence.reach import Command, Reach, checked, unavailable
from extproc.evidence.redis_line import Line


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
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(self.name, error) from error
        if any(_is_read_only(answer) for answer in answers):
            # A demoted master: the address may lead to the new one by now, this connection never will.
            self._line.renew()
        return answers

    async def round_trip(self, *commands: Command) -> list[Any]:
        return checked(self.name, await self.answers(*commands))

    def raise_if_unsettled(self) -> None:
        """Never: the same server is there, or was away, which its callers have seen."""

    async def masters(self) -> Sequence[Reach]:
        return (self,)

    async def close(self) -> None:
        await self._line.close()


def _is_read_only(answer: Any) -> bool:
    return isinstance(answer, Exception) and (isinstance(answer, ReadOnlyError) or "READONLY" in str(answer))
