"""All names of a site, added up one after the other; no record is kept."""

from __future__ import annotations

import heapq
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from extproc.evidence.model import Record
from extproc.status.name import figures_of

MOST_BEHIND: Final = 10


@dataclass(frozen=True, slots=True)
class Behind:
    """A name that has manifests behind."""

    name: str
    behind: int
    awaited: int
    longest_wait: float | None


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """The sums of what `Figures` counts of each name, and the extremes. Durations in seconds."""

    names: int
    cut: bool
    """There are more names than were read."""
    dropped_names: int
    leases: int
    fresh_leases: int
    oldest_lease: float | None
    behind: int
    present: int
    absent: int
    tombstones: int
    marks: int
    """Writes under way, or not known to have ended."""
    awaited: int
    longest_wait: float | None
    median_lag: float | None
    """Of the last lag of each name."""
    longest_lag: float | None
    most_behind: tuple[Behind, ...]
    """At most 10 names, the one furthest behind first."""


class SiteSum:
    """Takes records, and gives their status at any time."""

    def __init__(self, max_staleness: float) -> None:
        self._max_staleness = max_staleness
        self._sums: Counter[str] = Counter()
        self._oldest: float | None = None
        self._longest_wait: float | None = None
        self._lags: list[float] = []
        self._behind: list[tuple[int, float, str, Behind]] = []
        """The names furthest behind, as a heap: the least of them first."""

    @property
    def names(self) -> int:
        return self._sums["names"]

    def add(self, record: Record) -> None:
        figures = figures_of(record, self._max_staleness)
        self._sums.update(
            names=1,
            dropped_names=int(figures.dropped),
            leases=figures.leases,
            fresh_leases=figures.fresh_leases,
            behind=figures.behind,
            present=figures.present,
            absent=figures.absent,
            tombstones=figures.tombstones,
            marks=len(record.marks),
            awaited=figures.awaited,
        )
        self._oldest = _longest((self._oldest, figures.oldest_lease))
        self._longest_wait = _longest((self._longest_wait, figures.longest_wait))
        if figures.lag is not None:
            self._lags.append(figures.lag)
        if figures.behind:
            behind = Behind(record.name, figures.behind, figures.awaited, figures.longest_wait)
            heapq.heappush(self._behind, (figures.behind, figures.longest_wait or 0.0, record.name, behind))
            if len(self._behind) > MOST_BEHIND:
                heapq.heappop(self._behind)

    def status(self, *, cut: bool) -> SiteStatus:
        sums = self._sums
        return SiteStatus(
            names=sums["names"],
            cut=cut,
            dropped_names=sums["dropped_names"],
            leases=sums["leases"],
            fresh_leases=sums["fresh_leases"],
            oldest_lease=self._oldest,
            behind=sums["behind"],
            present=sums["present"],
            absent=sums["absent"],
            tombstones=sums["tombstones"],
            marks=sums["marks"],
            awaited=sums["awaited"],
            longest_wait=self._longest_wait,
            median_lag=statistics.median(self._lags) if self._lags else None,
            longest_lag=_longest(self._lags),
            most_behind=tuple(each for *_, each in sorted(self._behind, reverse=True)),
        )


def _longest(durations: Iterable[float | None]) -> float | None:
    return max((each for each in durations if each is not None), default=None)
