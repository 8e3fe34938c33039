"""For lines of the log that others can cause as often as they like: one for each cause in a while, which says how
many were left out since the one before. What must be counted exactly is a metric.

structlog and logging drop lines (DropEvent, filters), but neither counts them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

EVERY: Final = 5.0
"""Seconds between two lines of one cause."""
_MOST_CAUSES: Final = 1000
"""Remembered; with more, the one written longest ago is forgotten, and how many of it were left out."""


class Seldom:
    """Says which lines to write."""

    def __init__(self, every: float = EVERY, now: Callable[[], float] = time.monotonic) -> None:
        """`every` in seconds, `now` likewise."""
        self._every = every
        self._now = now
        self._written: OrderedDict[Hashable, float] = OrderedDict()
        """When a cause last had its line, in that order."""
        self._left_out: dict[Hashable, int] = {}

    def left_out(self, cause: Hashable) -> int | None:
        """None when this line is not to be written, else how many of its cause were left out since the last one.

        `cause` tells apart what needs a line of its own. Nothing that the other side chooses belongs into it.
        """
        now = self._now()
        last = self._written.get(cause)
        if last is not None and now - last < self._every:
            self._left_out[cause] = self._left_out.get(cause, 0) + 1
            return None
        self._written[cause] = now
        self._written.move_to_end(cause)
        if len(self._written) > _MOST_CAUSES:
            forgotten, _ = self._written.popitem(last=False)
            self._left_out.pop(forgotten, None)
        return self._left_out.pop(cause, 0)
