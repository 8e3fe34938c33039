"""What a process decided, for whoever looks at it now: how many by reason, route and operation, and the last ones.

It is told of every request, so it keeps what it is given and puts it into words only when asked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from extproc.routing.router import Routed
from extproc.telemetry.words import decision_words, lease_age, token_word, would_of

_LAST: Final = 50
"""Decisions remembered."""


class Journal:
    """Of one process, from one thread."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since the Unix epoch."""
        self._now = now
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._last: deque[tuple[float, Routed]] = deque(maxlen=_LAST)

    def note(self, routed: Routed, reason: str, route: str, operation: str, would: str) -> None:
        """`would`: the route that mode `serve` would have chosen, where another mode is in force; else empty."""
        words = (reason, route, operation, would)
        self._counts[words] = self._counts.get(words, 0) + 1
        self._last.append((self._now(), routed))

    def report(self) -> dict[str, Any]:
        """As JSON carries it: `decisions`, a list of reason, route, operation, would-be route and count since the
        start of the process, and `last`, the latest decisions first."""
        return {
            "decisions": [[*words, count] for words, count in self._counts.items()],
            "last": [_entry(at, routed) for at, routed in reversed(self._last)],
        }


def _entry(at: float, routed: Routed) -> dict[str, Any]:
    operation = routed.operation
    reason, route, kind = decision_words(routed.decision, routed)
    would = would_of(routed.decision)
    return {
        "at": at,
        "method": operation.method,
        "operation": kind,
        "name": None if operation.name is None else str(operation.name),
        "reference": None if operation.reference is None else str(operation.reference),
        "route": route,
        "reason": reason,
        "token": token_word(routed),
        "lease_age": lease_age(routed),
        "would": None if would is None else decision_words(would, routed)[0],
    }
