"""Whether a figure stays where it is, by samples that jump about.

Source: Theil (1950) and Sen (1968): the median of all pairs' slopes, which outliers do not move.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

_WARM: Final = 1 / 3
"""Of the time: caches fill, and pools come to their size."""


@dataclass(frozen=True)
class Trend:
    """Of one figure, after the warm-up."""

    level: float
    """Its median."""
    growth: float
    """From the warm-up's end to the end of it all, by the slope."""


def trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """Of (seconds, figure) in their order. Raises ValueError when there are too few to tell."""
    if not samples:
        raise ValueError("no sample was taken")
    begin, end = samples[0][0], samples[-1][0]
    late = [sample for sample in samples if sample[0] >= begin + (end - begin) * _WARM]
    if len(late) < 10:
        raise ValueError(f"{len(late)} samples after the warm-up tell nothing: run it longer")
    slope = statistics.median(
        (later - earlier) / (after - before) for (before, earlier), (after, later) in combinations(late, 2)
    )
    return Trend(statistics.median(figure for _, figure in late), slope * (late[-1][0] - late[0][0]))


def flat(found: Trend, *, share: float, at_least: float) -> bool:
    """Whether it grew by no more than a share of its level, or than `at_least`, which is noise."""
    return found.growth <= max(share * found.level, at_least)
