"""`make soak` must tell a leak from what jumps about."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.soak.verdict import flat, trend

MIB = 1 << 20
NOISE = random.Random(7)
JUMPS = [NOISE.uniform(-3, 3) * MIB for _ in range(720)]
LEVEL = 150 * MIB


@pytest.mark.parametrize(
    ("at", "stays"),
    [
        pytest.param(lambda number: LEVEL, True, id="as it is"),
        pytest.param(lambda number: LEVEL + JUMPS[number], True, id="jumping about"),
        pytest.param(lambda number: LEVEL + number % 60 * MIB / 20, True, id="a saw"),
        pytest.param(lambda number: LEVEL - (100 * MIB if number < 200 else 0), True, id="a step in the warm-up"),
        pytest.param(lambda number: LEVEL - number * MIB / 100, True, id="less and less"),
        pytest.param(lambda number: LEVEL + (500 * MIB if number == 700 else 0), True, id="one peak"),
        pytest.param(lambda number: LEVEL + number * MIB / 50, False, id="a leak"),
        pytest.param(lambda number: LEVEL + number * MIB / 50 + JUMPS[number], False, id="a leak, jumping about"),
        pytest.param(
            lambda number: LEVEL + number % 60 * MIB / 20 + number * MIB / 50, False, id="a saw that climbs"
        ),
    ],
)
def test_memory(at: Callable[[int], float], stays: bool) -> None:
    seen = trend([(5.0 * number, at(number)) for number in range(720)])
    assert flat(seen, share=0.03, at_least=MIB) is stays


def test_one_more_descriptor_each_ten_minutes_is_seen() -> None:
    seen = trend([(5.0 * number, 20 + number // 120) for number in range(720)])
    assert seen.growth == pytest.approx(4, abs=0.5)
    assert not flat(seen, share=0.03, at_least=2)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_too_few_to_tell(count: int) -> None:
    with pytest.raises(ValueError, match="sample"):
        trend([(float(number), 1.0) for number in range(count)])
