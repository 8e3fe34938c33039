"""A reply that is still to come, and that no task waits for.

A future would do, and be told of in a later turn of the event loop, with a handle and a context for it: as much as
the decision itself. This tells in the turn in which it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

Told = Callable[[bytes | Exception], None]
"""Hears the reply, or what went wrong. Must not raise."""


class PendingReply:
    """Of one message. Told once, and heard by one: by `then`, or by `await`."""

    __slots__ = ("_outcome", "_over", "_then")

    def __init__(self) -> None:
        self._outcome: bytes | Exception | None = None
        """While nobody has asked for it."""
        self._then: Told | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """It was told, or nobody waits for it any more."""
        return self._over

    def tell(self, outcome: bytes | Exception) -> None:
        if self._over:
            return
        self._over = True
        # Let go of: who hears it has this, too, and rings are left to the collector.
        then, self._then = self._then, None
        if then is None:
            self._outcome = outcome
        else:
            then(outcome)

    def then(self, told: Told) -> None:
        """`told` hears it, perhaps before this returns."""
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            self._then = told
        else:
            told(outcome)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._over = True
        self._then = None

    def __await__(self) -> Generator[Any, None, bytes]:
        return self._waited_for().__await__()

    async def _waited_for(self) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def told(outcome: bytes | Exception) -> None:
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.then(told)
        try:
            return await future
        finally:
            self.give_up()
