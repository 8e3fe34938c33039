"""One Redis server at one address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError, RedisError

from extproc.evidence.connections import Connections
from extproc.evidence.reach import Command, Reach, checked, unavailable


class SingleRedis:
    """`Reach` to the one server that the pool connects to. Connects when first used."""

    def __init__(self, pool: Connections, name: str) -> None:
        """`name` says which server it is, in errors."""
        self._client = Redis.from_pool(pool)
        self.name = name

    async def answers(self, *commands: Command) -> list[Any]:
        """Each command's answer or error, of one write. Raises StoreUnavailable when there was none.

        Always a pipeline: unlike a single command it shields the connection's return from cancellation.
        """
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            if any(_is_read_only(answer) for answer in answers):
                # A demoted master: the address may lead to the new one by now, these connections never will.
                await self._client.connection_pool.disconnect(inuse_connections=False)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(self.name, error) from error
        return answers

    async def round_trip(self, *commands: Command) -> list[Any]:
        return checked(self.name, await self.answers(*commands))

    def raise_if_unsettled(self) -> None:
        """Never: the same server is there, or was away, which its callers have seen."""

    async def masters(self) -> Sequence[Reach]:
        return (self,)

    async def close(self) -> None:
        try:
            await self._client.aclose()
            await self._client.connection_pool.aclose()
        except (RedisError, OSError) as error:
            raise unavailable(self.name, error) from error


def _is_read_only(answer: Any) -> bool:
    return isinstance(answer, Exception) and (isinstance(answer, ReadOnlyError) or "READONLY" in str(answer))
