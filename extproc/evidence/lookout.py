"""Looking for where the masters are: beside the requests, one look at a time, each made to its end.

A request waits for the store for some milliseconds, then gives up. Asking Sentinels or a cluster's servers, some
of them dead, can take longer. If it were cancelled with the request, a store that failed over would never be found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, Generic, TypeVar

from extproc.evidence.store import StoreUnavailable

BOUND: Final = 0.25
"""Seconds that a look waits for the slower ones of those it asks at once."""
_PAUSE: Final = 0.1
"""Seconds between the end of a look and the next one, however many calls fail meanwhile."""

Found = TypeVar("Found")
Answer = TypeVar("Answer")


class Lookout(Generic[Found]):
    """Keeps what `look` found; `look` raises StoreUnavailable when nobody could tell."""

    def __init__(self, look: Callable[[], Awaitable[Found]], *, every: float) -> None:
        """`every`: while it is used, a look so many seconds after the last one, though nothing seems wrong."""
        self._look = look
        self._every = every
        self._found: Found | None = None
        self._failure: StoreUnavailable | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = time.monotonic() - every
        self._closed = False

    async def found(self) -> Found:
        """What the last look that succeeded found; waits for the first. Raises StoreUnavailable."""
        if time.monotonic() - self._looked_at >= self._every:
            self.again()
        if self._found is None:
            self.again()
            # While the next look is under way, the reason of the last one is answer enough.
            if self._failure is None and self._looking is not None:
                await asyncio.wait({self._looking})
            # Whoever asks again and again must let it look.
            await asyncio.sleep(0)
        if self._found is None:
            # A new one each time: an exception that is raised again and again keeps all its tracebacks.
            failure = self._failure or StoreUnavailable("closed while looking for the masters")
            raise type(failure)(str(failure)) from failure
        return self._found

    def again(self) -> None:
        """Look in a moment, without anybody waiting, unless a look is under way."""
        if self._looking is None and not self._closed:
            self._looking = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await asyncio.sleep(max(self._looked_at + _PAUSE - time.monotonic(), 0))
            self._found, self._failure = await self._look(), None
        except StoreUnavailable as error:
            self._failure = error
        finally:
            self._looked_at = time.monotonic()
            self._looking = None

    async def close(self) -> None:
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)


async def heard(questions: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The answers to questions that are asked at once: those that come within BOUND, else all that come.

    Raises StoreUnavailable, that of the first who was asked, when there is none.
    """
    asked = [asyncio.create_task(question) for question in questions]
    try:
        done, late = await asyncio.wait(asked, timeout=BOUND)
        if late and not any(task.exception() is None for task in done):
            # A first connection may take longer: each is bounded by itself.
            await asyncio.wait(late)
    finally:
        for task in asked:
            task.cancel()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    answers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if not answers:
        raise next(outcome for outcome in outcomes if isinstance(outcome, BaseException))
    return answers


class Settling:
    """For a time after the masters changed, other workers may hold writes that the present ones have not been told of
    (`Backlog`): what those say of them is outdated."""

    def __init__(self, name: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._seconds = seconds
        self._clock = clock
        self._until = clock()

    def begin(self) -> None:
        self._until = self._clock() + self._seconds

    def raise_if_unsettled(self) -> None:
        """Raises StoreUnavailable."""
        if self._clock() < self._until:
            raise StoreUnavailable(
                f"{self._name}: a master has changed, or was away: it may not have been told of every write"
            )
