"""How large what is pulled is, in bytes.

Layers: 65 % are smaller than 1 MB and 80 % smaller than 10 MB (FAST18, see workload.py). Within each of the three
parts the size is log-uniform; the smallest, 100 bytes, and the largest, 200 MB, are chosen.
"""

from __future__ import annotations

import math
import random
from typing import Final

MANIFEST: Final = 2_500
CONFIG: Final = 8_000
"""Chosen: what skopeo shows of common images. Both are little beside the layers."""
PARTS: Final = ((0.65, 100.0, 1e6), (0.15, 1e6, 10e6), (0.20, 10e6, 200e6))
"""Share of the layers, from, to."""


def layer_size(chance: random.Random) -> int:
    left = chance.random()
    for share, least, most in PARTS:
        if left < share:
            return round(least * math.exp(math.log(most / least) * left / share))
        left -= share
    return round(PARTS[-1][2])


def mean_layer_size() -> float:
    """Of a log-uniform part it is (to - from) / ln(to / from)."""
    return sum(share * (most - least) / math.log(most / least) for share, least, most in PARTS)
