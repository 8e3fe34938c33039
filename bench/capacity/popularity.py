"""How requests spread over names, and which few names stand for all of them.

A name's evidence is its own: no rule of router or store looks from one name to another. So a day may be simulated for
some names, each at its true rate, and multiplied. Ranks are cut into strata that double (1, 2–3, 4–7, …), each of
them into parts of equal length, and one name stands for each part, with the part's mean rate. A name that is asked
for often shows what it has to show in a part of the day, for its rate is constant and nothing that matters lasts
longer than the lag of replication: its window is shorter than a day, and counts for more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from bench.capacity.workload import DAY, Workload

SHORTEST_WINDOW = 300.0
"""Seconds."""
MOST_NAMES = 3000
"""Of one stratum."""


@cache
def _running(names: int, exponent: float) -> tuple[float, ...]:
    """The sum of the first r shares, from r = 0; the last one is 1."""
    sums = [0.0, *accumulate(rank**-exponent for rank in range(1, names + 1))]
    return tuple(each / sums[-1] for each in sums)


class Zipf:
    """Share of rank r ∝ 1 / r^exponent, for `names` ranks from 1."""

    def __init__(self, names: int, exponent: float) -> None:
        self._sums = _running(names, exponent)

    def share(self, first: int, last: int | None = None) -> float:
        """Of a rank, or of the ranks from `first` to `last` together."""
        return self._sums[first if last is None else last] - self._sums[first - 1]

    @property
    def cumulative(self) -> Sequence[float]:
        """For `random.choices`: one for each rank."""
        return self._sums[1:]


@dataclass(frozen=True)
class Sampled:
    """One name of the sample, and what it stands for."""

    first: int
    """Rank, as is `last`: the name stands for these and those between."""
    last: int
    pulls: float
    """A second."""
    pushes: float
    """A second, through this site."""
    window: float
    """Seconds that are counted."""

    @property
    def weight(self) -> float:
        """By what its counts are multiplied for a day of all that it stands for."""
        return (self.last - self.first + 1) * DAY / self.window


def sample(workload: Workload, budget: int) -> list[Sampled]:
    """The names to simulate: some `budget` requests for each stratum, more where the shortest window has more."""
    pulls, pushes = Zipf(workload.names, workload.zipf), Zipf(workload.names, workload.push_zipf)
    found = []
    first = 1
    while first <= workload.names:
        last = min(2 * first - 1, workload.names)
        size = last - first + 1
        mean = _requests(workload, pulls.share(first, last), pushes.share(first, last)) / size
        window = min(max(budget / mean, SHORTEST_WINDOW), DAY)
        parts = min(max(math.ceil(budget / (mean * window)), 1), size, MOST_NAMES)
        for part in range(parts):
            begin, end = first + size * part // parts, first + size * (part + 1) // parts - 1
            many = end - begin + 1
            found.append(
                Sampled(
                    begin,
                    end,
                    workload.pulls * pulls.share(begin, end) / many,
                    workload.pushes * pushes.share(begin, end) / many,
                    window,
                )
            )
        first = last + 1
    return found


def _requests(workload: Workload, pull_share: float, push_share: float) -> float:
    """A second."""
    push = workload.heads_of_a_push + workload.writes_of_a_push
    return workload.pulls * pull_share * workload.reads_of_a_pull + workload.pushes * push_share * push
