"""What one connection may cost: bounds on what is kept for it, and on what it may do without being of use.

Source: RFC 9113, section 10.5 ("Denial-of-Service Considerations"); CVE-2019-9511 and following, CVE-2023-44487,
CVE-2024-27316 for how each was used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from extproc.transport.http2.frame import FIRST_WINDOW, LARGEST_WINDOW


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each connection. Sizes are bytes."""

    streams: int = 1100
    """Open at once; announced, and beyond it a stream is refused (REFUSED_STREAM: it may be tried elsewhere)."""
    header_block: int = 65_536
    """Of one request's headers as sent, all frames together."""
    header_list: int = 65_536
    """Of one request's headers decoded, by RFC 9113's count (section 10.5.1); announced."""
    window: int = 1 << 21
    """What may be sent on a stream before it is used: twice the largest message at least."""
    connection_window: int = 1 << 24
    """Likewise on all of its streams together, so this much is kept at most."""
    continuations: int = 32
    """Frames that a header block may be in."""
    burst: int = 1000
    """Frames of no use (SETTINGS, PING, PRIORITY, empty DATA, …) at once."""
    refill: float = 500.0
    """Such frames that each second allows beyond it."""
    abandoned_burst: int = 10_000
    """Streams reset without an answer, at once. Envoy gives up all that is open when a worker stood still, and must
    not lose its connection over it."""
    abandoned_refill: float = 5_000.0
    """Such streams that each second allows beyond it: a fifth of a worker's time."""

    def __post_init__(self) -> None:
        """Raises ValueError for windows that HTTP/2 cannot have (RFC 9113, section 6.9.2)."""
        if not 0 < self.window <= LARGEST_WINDOW:
            raise ValueError(f"window is from 1 to {LARGEST_WINDOW}")
        if not FIRST_WINDOW <= self.connection_window <= LARGEST_WINDOW:
            raise ValueError(f"connection_window is from {FIRST_WINDOW} to {LARGEST_WINDOW}")


class Allowance:
    """So many at once, and so many more each second (a token bucket)."""

    __slots__ = ("_burst", "_clock", "_left", "_refill", "_then")

    def __init__(self, burst: int, refill: float, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._burst = float(burst)
        self._left = float(burst)
        self._refill = refill
        self._clock = clock
        self._then = clock()

    def spend(self) -> bool:
        """One more. False: it was one too many."""
        if self._left < 1:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._then) * self._refill)
            self._then = now
            if self._left < 1:
                return False
        self._left -= 1
        return True
