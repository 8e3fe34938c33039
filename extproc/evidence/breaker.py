"""When to leave a failing store alone: a circuit breaker without clock or I/O.

Rules
1. CLOSED lets every call through; `failures` failures in a row open it.
2. OPEN lets none through until `pause` seconds have passed since it opened or its last probe failed.
3. Then HALF_OPEN: exactly one call, the probe. Its success closes the breaker, its failure opens it again;
   if it is abandoned (its caller went away), the next call is the probe.
4. Only the probe's outcome counts while not CLOSED: calls from before tell nothing about now.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """`succeeded` and `failed` return whether that changed what a user sees: the store used, or left alone."""

    def __init__(self, *, failures: int, pause: float) -> None:
        self._limit = failures
        self._pause = pause
        self._failures = 0
        self._probe_at = 0.0
        self._state = State.CLOSED

    @property
    def state(self) -> State:
        return self._state

    def allow(self, now: float) -> bool:
        """Whether a call may go through. If the state is HALF_OPEN right after True, the call is the probe."""
        if self._state is State.CLOSED:
            return True
        if self._state is State.OPEN and now >= self._probe_at:
            self._state = State.HALF_OPEN
            return True
        return False

    def succeeded(self, *, probe: bool = False) -> bool:
        """Returns True when the breaker closed."""
        if self._state is State.CLOSED:
            self._failures = 0
            return False
        if not probe:
            return False
        self._state = State.CLOSED
        self._failures = 0
        return True

    def failed(self, now: float, *, probe: bool = False) -> bool:
        """Returns True when the breaker opened after having been closed: a failed probe is no news."""
        if self._state is State.CLOSED:
            self._failures += 1
            if self._failures < self._limit:
                return False
            self._state, self._probe_at = State.OPEN, now + self._pause
            return True
        if probe:
            self._state, self._probe_at = State.OPEN, now + self._pause
        return False

    def abandoned(self, *, probe: bool) -> None:
        """A call ended without an outcome. If it was the probe, the next call may be."""
        if probe and self._state is State.HALF_OPEN:
            self._state = State.OPEN
