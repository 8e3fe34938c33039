"""The CPU time of other processes."""

from __future__ import annotations

import time
from collections.abc import Iterable


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system, all threads, since each began; clock_getcpuclockid(3) has the number of its clock."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)
