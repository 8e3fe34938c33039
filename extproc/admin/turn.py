"""One report at a time: who asks for the same one meanwhile gets that one, who asks for another waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

_WAITING: Final = 100
"""Reports asked for; one more is refused."""

T = TypeVar("T")


class TooMany(Exception):
    """Too many reports are waited for; ask again."""


class Turn:
    """So what people ask for cannot be made to slow what this process is for."""

    def __init__(self, waiting: int = _WAITING) -> None:
        self._waiting = waiting
        self._lock = asyncio.Lock()
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def of(self, wanted: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives, which is the same for all who want `wanted`. Raises TooMany, and what `make` raises."""
        task = self._under_way.get(wanted)
        if task is None:
            if len(self._under_way) >= self._waiting:
                raise TooMany("too many reports are waited for; ask again")
            task = self._under_way[wanted] = asyncio.create_task(self._make(make))
            task.add_done_callback(lambda _: self._under_way.pop(wanted))
        # Who asked first may go away; the others still want it.
        found: T = await asyncio.shield(task)
        return found

    async def _make(self, make: Callable[[], Awaitable[T]]) -> T:
        async with self._lock:
            return await make()
