"""A clock that moves only when told."""

from __future__ import annotations


class Clock:
    """Callable as `time.monotonic` or `time.time`; seconds."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
