"""Counters that only grow, as others tell them now and then, into what came in the last minute and hour. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

SPAN: Final = 10.0
"""Seconds that are counted together."""
_KEPT: Final = 360
"""Spans: an hour."""
_MINUTE: Final = 6
"""Spans of a minute."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Span(Generic[K]):
    number: int
    counts: Counter[K] = field(default_factory=Counter)


class Traffic(Generic[K]):
    """Of several sources, each of which begins at zero whenever it is started again."""

    def __init__(self) -> None:
        self._spans: deque[_Span[K]] = deque(maxlen=_KEPT)
        self._known: dict[str, tuple[str, Mapping[K, int]]] = {}
        """By source: which run of it told last, and what."""

    def take(self, source: str, run: str, counts: Mapping[K, int], now: float, *, whole: bool = True) -> None:
        """What `source` has counted until `now`, in seconds of one clock.

        Another `run` than last time has begun at zero. `whole`: what it had counted when it is first heard of came
        just now, too; else nobody knows when it came, and it is left out.
        """
        before = self._known.get(source)
        self._known[source] = (run, dict(counts))
        if before is None and not whole:
            return
        last = before[1] if before is not None and before[0] == run else {}
        came = {key: count - last.get(key, 0) for key, count in counts.items()}
        if any(count < 0 for count in came.values()):
            came = dict(counts)  # it was started again, and did not say so
        self._span(now).counts.update({key: count for key, count in came.items() if count})

    def _span(self, now: float) -> _Span[K]:
        number = int(now // SPAN)
        if not self._spans or self._spans[-1].number < number:
            self._spans.append(_Span(number))
        return self._spans[-1]

    def minute(self, now: float) -> Counter[K]:
        """What came in the minute before `now`, to the span."""
        return self._sum(int(now // SPAN) - _MINUTE, int(now // SPAN))

    def hour(self, now: float) -> Counter[K]:
        return self._sum(int(now // SPAN) - _KEPT, int(now // SPAN))

    def minutes(self, now: float) -> Iterator[Counter[K]]:
        """The hour's 60 minutes, the oldest first; the last one ends now."""
        last = int(now // SPAN)
        for ago in range(_KEPT - _MINUTE, -1, -_MINUTE):
            yield self._sum(last - ago - _MINUTE, last - ago)

    def _sum(self, after: int, until: int) -> Counter[K]:
        """Of the spans after the one and up to the other."""
        found: Counter[K] = Counter()
        for span in self._spans:
            if after < span.number <= until:
                found.update(span.counts)
        return found
