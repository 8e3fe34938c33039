"""Background work that rests while there is nothing for it to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Pausable:
    """Runs what `start` gives, from its beginning after each pause. Needs a running loop."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, None]], *, paused: bool = False) -> None:
        self._start = start
        self._task: asyncio.Task[None] | None = None
        self.pause(paused)

    def pause(self, paused: bool) -> None:
        """The same twice changes nothing."""
        if paused and self._task is not None:
            self._task.cancel()
            self._task = None
        elif not paused and self._task is None:
            self._task = asyncio.create_task(self._start())

    async def close(self) -> None:
        """For good."""
        task = self._task
        self.pause(True)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
