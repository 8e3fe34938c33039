"""Time and turns under control: an event loop for each process of ours, on one clock that moves only when told.

A process is what can be killed at once: a worker, or the supervisor. It has a loop of its own, so that a crash is no
more than never running that loop again: nothing of it is resumed, cleaned up or told. Real asyncio objects (tasks,
locks, timeouts, sleeps) run on it unchanged.

A task stops where it awaits a `Gate`. Whoever drives the model chooses which gate opens next, so that each is a place
where another exchange may run, or the process die.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from tests.support.clock import Clock

T = TypeVar("T")
_Callback = Callable[..., object]

BACKGROUND: Final = "background"
ACTOR: Final = ContextVar("ACTOR", default=BACKGROUND)
"""On whose behalf the current task runs: an exchange's name, a notification's, or what a process does by itself."""


def at_once(awaitable: Awaitable[T]) -> T:
    """The outcome of what waits for nothing."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        outcome: T = end.value
        return outcome
    raise AssertionError("what should have been done at once waits for something")


@dataclass(eq=False)
class Gate:
    """A task waits here. `open` lets it go on, `fail` raises in it."""

    loop: Loop
    actor: str
    label: str
    waiting: asyncio.Future[None]

    def open(self) -> None:
        self.waiting.set_result(None)

    def fail(self, error: Exception) -> None:
        self.waiting.set_exception(error)


class Loop:
    """One process's event loop, as much of one as our processes use: no I/O, no real time, no thread."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.alive = True
        self.gates: list[Gate] = []
        self.faults: list[dict[str, Any]] = []
        """What asyncio would log: an exception that nobody caught."""
        self._clock = clock
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0

    async def gate(self, label: str) -> None:
        """Wait until it is opened."""
        gate = Gate(self, ACTOR.get(), label, self.create_future())
        self.gates.append(gate)
        try:
            await gate.waiting
        finally:
            if gate in self.gates:
                self.gates.remove(gate)

    def start(self, actor: str, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task on behalf of `actor`, run up to its first gate."""
        context = Context()
        context.run(ACTOR.set, actor)
        task = self.create_task(coroutine, context=context)
        self.settle()
        return task

    def settle(self) -> None:
        """Run whatever can run without a gate or time."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._as_asyncio)
        try:
            while self.alive and self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            asyncio._set_running_loop(before)

    def kill(self) -> None:
        """At this instant. What it did stays done; nothing of it goes on."""
        self.alive = False
        self.gates.clear()

    def next_timer(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run_timers(self) -> None:
        """Those that are due, and what follows from them."""
        while (due := self.next_timer()) is not None and due <= self._clock():
            self._ready.append(heapq.heappop(self._timers)[2])
        self.settle()

    # What asyncio asks of a loop.

    @property
    def _as_asyncio(self) -> asyncio.AbstractEventLoop:
        return cast(asyncio.AbstractEventLoop, self)

    def time(self) -> float:
        return self._clock()

    def call_soon(self, callback: _Callback, *args: Any, context: Context | None = None) -> asyncio.Handle:
        # When Python closes what a dead process left behind, that lands here, and wakes nobody.
        handle = asyncio.Handle(callback, args, self._as_asyncio, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._as_asyncio, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(
        self, delay: float, callback: _Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._clock() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._as_asyncio)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self._as_asyncio, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self.faults.append(context)

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left out when its time comes."""
