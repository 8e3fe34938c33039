from __future__ import annotations

from extproc.telemetry.seldom import Seldom
from tests.support.clock import Clock


def test_one_line_for_each_cause_and_time() -> None:
    clock = Clock(100.0)
    seldom = Seldom(5.0, clock)
    assert [seldom.left_out("a") for _ in range(3)] == [0, None, None]
    assert seldom.left_out("b") == 0
    clock.now = 104.9
    assert (seldom.left_out("a"), seldom.left_out("b")) == (None, None)
    clock.now = 105.0
    assert (seldom.left_out("a"), seldom.left_out("b")) == (3, 1)


def test_the_count_begins_anew_with_each_line() -> None:
    clock = Clock()
    seldom = Seldom(5.0, clock)
    found = []
    for clock.now in (0.0, 1.0, 5.0, 9.9, 10.0, 10.1, 30.0, 50.0):
        found.append(seldom.left_out("a"))
    assert found == [0, None, 1, None, 1, None, 1, 0]


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    seldom = Seldom(5.0, clock)
    for cause in range(1000):
        assert seldom.left_out(cause) == 0
    assert seldom.left_out(0) is None
    assert seldom.left_out("one more") == 0
    assert seldom.left_out(999) is None
    # The first had its line longest ago: it is as if it were new.
    assert seldom.left_out(0) == 0
