"""When the secondary has what was pushed: seconds to minutes later, log-normal (chosen, see workload.py)."""

from __future__ import annotations

import math
import random

from bench.capacity.workload import Workload


def lag(chance: random.Random, workload: Workload) -> float:
    """Seconds from the push to its arrival."""
    return chance.lognormvariate(math.log(workload.lag_median), workload.lag_sigma)
