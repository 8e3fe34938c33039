"""A limit in time that many calls have alike: as `asyncio.timeout`, but with one timer for all of them.

`asyncio.timeout` sets and cancels a timer for each, which costs a look-up several microseconds; nearly all of them
end long before. What is told of cancellation is the same: the task is cancelled at the deadline, and what comes out
of the block then is TimeoutError, unless somebody else cancelled the task, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Protocol


class Bounded(Protocol):
    """What has a deadline."""

    deadline: float

    @property
    def over(self) -> bool:
        """It has ended by itself."""

    def expire(self) -> None:
        """The deadline has come."""


class Budget:
    """`with budget.spent():` around what is awaited."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._limits: deque[Bounded] = deque()
        """In the order of their deadlines, for all last alike. Those that have ended stay until theirs."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the timer."""

    def spent(self) -> Limit:
        """A block that may last so long from its beginning. Raises TimeoutError at its end if it did not suffice."""
        return Limit(self)

    def begin(self, limit: Bounded) -> float:
        """Its deadline, by the loop's clock; `limit.deadline` must be set to it."""
        loop = self._loop
        if self._timer is None or loop is None:
            # Asked for once while there is a timer: it costs a call of the system.
            loop = self._loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        self._limits.append(limit)
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._look)
        return deadline

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._limits:
            first = self._limits[0]
            if not first.over and first.deadline > now:
                self._cancel_timer()
                self._timer = loop.call_at(first.deadline, self._look)
                return
            self._limits.popleft()
            if not first.over:
                first.expire()

    def _cancel_timer(self) -> None:
        # Of a limit that began while another expired; one before it is still to come. By itself, for within `_look`
        # the timer is None to mypy, and so to what it compiles.
        if self._timer is not None:
            self._timer.cancel()


class Limit:
    """One block."""

    __slots__ = ("_budget", "_cancelling", "_expired", "deadline", "task")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._expired = False
        self.deadline = 0.0
        self.task: asyncio.Task[Any] | None = None
        """While it lasts."""

    @property
    def over(self) -> bool:
        return self.task is None

    def expire(self) -> None:
        self._expired = True
        if self.task is not None:
            self.task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a budget is spent by a task")
        self.task = task
        self._cancelling = task.cancelling()
        self.deadline = self._budget.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        # As asyncio.timeout has it: who else cancelled the task is to be heard.
        ours = self._expired and task is not None and task.uncancel() <= self._cancelling
        if ours and kind is asyncio.CancelledError:
            raise TimeoutError from error
