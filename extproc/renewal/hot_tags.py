"""Which tags are worth keeping fresh, and when each is to be looked at next.

Rules
1. What is here is interest, no evidence: that a tag was read, never where it points.
2. At most `limit` tags; the one that was read longest ago makes room. One not read for `idle` is forgotten.
3. A tag that is being looked at is nobody else's until the look ends. What was wished meanwhile counts then.
4. Readers cannot bring a look forward that failed before: its pause grows, whoever asks.

No I/O and no clock: `now` is an argument, seconds of one monotonic clock.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from extproc.oci.reference import Name, Tag

Key = tuple[Name, Tag]

_STALE_ITEMS: Final = 4
"""The heap is rebuilt when it holds this many times more items than there may be tags."""


@dataclass(slots=True)
class _Hot:
    """One tag."""

    read_at: float
    due: float
    """When to look at it; infinite while that is being done."""
    once: bool = False
    """Nobody read it in this process: it is looked at for others, until that succeeds."""
    tries: int = 0
    """Looks in a row that came to nothing."""


class HotTags:
    """The tags read last, each with its next look."""

    def __init__(self, limit: int, idle: float) -> None:
        """`idle` in seconds."""
        self._limit = limit
        self._idle = idle
        self._tags: OrderedDict[Key, _Hot] = OrderedDict()
        """Read longest ago first."""
        self._heap: list[tuple[float, Key]] = []
        """By due time; an item counts only while its tag is due at just that time."""

    def __len__(self) -> int:
        return len(self._tags)

    def __contains__(self, key: Key) -> bool:
        return key in self._tags

    def read(self, key: Key, now: float, due: float, *, leased: bool) -> None:
        """It was read, with a lease that holds or without; a tag that is new here is due at `due`."""
        hot = self._tags.get(key)
        if hot is None:
            self._add(key, _Hot(now, due))
            return
        hot.read_at = now
        hot.once = False
        self._tags.move_to_end(key)
        if not leased and hot.tries == 0 and due < hot.due:
            self._plan(key, hot, due)

    def want(self, key: Key, now: float, *, unread: bool = False) -> None:
        """Look at it now, if it is hot; with `unread` also when nobody read it in this process."""
        hot = self._tags.get(key)
        if hot is not None:
            self._plan(key, hot, now)
        elif unread:
            self._add(key, _Hot(now, now, once=True))

    def next_due(self) -> float:
        """When the first look is due; infinite when none is."""
        while self._heap and not self._counts(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def take(self, now: float) -> Key | None:
        """A tag that is due; those that were not read for long are forgotten on the way."""
        while self.next_due() <= now:
            _, key = heapq.heappop(self._heap)
            hot = self._tags[key]
            if now - hot.read_at <= self._idle:
                hot.due = math.inf
                return key
            del self._tags[key]
        return None

    def done(self, key: Key, due: float) -> None:
        """The look succeeded; the next is due at `due`, or at once if that was wished meanwhile."""
        hot = self._tags.get(key)
        if hot is None:
            return
        if hot.once and hot.due == math.inf:
            del self._tags[key]
            return
        hot.tries = 0
        self._plan(key, hot, min(hot.due, due))

    def again(self, key: Key, now: float, pause: float, longest: float) -> None:
        """The look came to nothing; the next one after `pause`, doubled for each such look before."""
        hot = self._tags.get(key)
        if hot is None:
            return
        due = now + min(pause * 2.0 ** min(hot.tries, 32), longest)
        hot.tries += 1
        self._plan(key, hot, min(hot.due, due))

    def forget(self, key: Key) -> None:
        self._tags.pop(key, None)

    def _add(self, key: Key, hot: _Hot) -> None:
        self._tags[key] = hot
        if len(self._tags) > self._limit:
            self._tags.popitem(last=False)
        self._plan(key, hot, hot.due)

    def _plan(self, key: Key, hot: _Hot, due: float) -> None:
        hot.due = due
        heapq.heappush(self._heap, (due, key))
        if len(self._heap) > _STALE_ITEMS * self._limit + 64:
            self._heap = [(each.due, known) for known, each in self._tags.items() if each.due < math.inf]
            heapq.heapify(self._heap)

    def _counts(self, due: float, key: Key) -> bool:
        hot = self._tags.get(key)
        return hot is not None and hot.due == due
