"""What one connection may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.transport.http2.limits import Allowance, Limits
from tests.support.clock import Clock


def spent(allowance: Allowance, tries: int = 100) -> int:
    return sum(allowance.spend() for _ in range(tries))


def test_so_many_at_once_and_no_more() -> None:
    assert spent(Allowance(3, 2.0, Clock())) == 3


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        pytest.param(0.25, 0, id="not one yet"),
        pytest.param(0.5, 1, id="one"),
        pytest.param(1.0, 2, id="two"),
        pytest.param(3600.0, 3, id="never more than at once"),
        pytest.param(-5.0, 0, id="a clock that goes back gives nothing"),
    ],
)
def test_more_as_time_goes_by(seconds: float, more: int) -> None:
    clock = Clock()
    allowance = Allowance(3, 2.0, clock)
    assert spent(allowance) == 3
    clock.advance(seconds)
    assert spent(allowance) == more


def test_parts_of_one_add_up() -> None:
    clock = Clock()
    allowance = Allowance(1, 1.0, clock)
    assert spent(allowance) == 1
    got = 0
    for _ in range(16):
        clock.advance(0.25)
        got += allowance.spend()
    assert got == 4


def test_a_stream_may_hold_two_of_the_largest_messages() -> None:
    limits = Limits()
    assert limits.window >= 2 * (1 << 20)
    assert limits.connection_window >= limits.window


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"window": 0}, id="window"),
        pytest.param({"window": 2**31}, id="window beyond RFC 9113, 6.9.1"),
        pytest.param({"connection_window": 65_534}, id="no frame makes the connection's smaller"),
        pytest.param({"connection_window": 2**31}, id="connection's beyond RFC 9113, 6.9.1"),
    ],
)
def test_windows_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is from "):
        replace(Limits(), **wrong)
