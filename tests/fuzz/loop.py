"""The one event loop of all targets: what they run in it never waits for the world outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class _Still(asyncio.SelectorEventLoop):
    """Its time stands still: no timer ends, and what the fuzzer sees compared is the same in each run."""

    def time(self) -> float:
        return 1000.0


class _Loop:
    """Made when it is first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = _Still()
        return self._loop

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None


LOOP = _Loop()


def run(coroutine: Awaitable[T]) -> T:
    return LOOP.get().run_until_complete(coroutine)
