from __future__ import annotations

from extproc.evidence.breaker import Breaker, State


def _opened(pause: float = 10.0) -> Breaker:
    breaker = Breaker(failures=2, pause=pause)
    breaker.failed(0.0)
    breaker.failed(0.0)
    return breaker


def test_closed_lets_everything_through() -> None:
    breaker = Breaker(failures=2, pause=10.0)
    assert all(breaker.allow(0.0) for _ in range(5))
    assert breaker.state is State.CLOSED


def test_failures_in_a_row_open_it_and_say_so_once() -> None:
    breaker = Breaker(failures=2, pause=10.0)
    assert breaker.failed(0.0) is False
    assert breaker.failed(0.0) is True
    assert breaker.failed(0.0) is False
    assert breaker.allow(9.9) is False


def test_a_success_between_starts_the_count_anew() -> None:
    breaker = Breaker(failures=2, pause=10.0)
    breaker.failed(0.0)
    assert breaker.succeeded() is False
    assert breaker.failed(0.0) is False
    assert breaker.state is State.CLOSED


def test_after_the_pause_exactly_one_probe() -> None:
    breaker = _opened()
    assert [breaker.allow(10.0) for _ in range(3)] == [True, False, False]
    assert breaker.state is State.HALF_OPEN


def test_a_probe_that_succeeds_closes_it_and_says_so() -> None:
    breaker = _opened()
    breaker.allow(10.0)
    assert breaker.succeeded(probe=True) is True
    assert breaker.state is State.CLOSED
    assert breaker.failed(10.0) is False


def test_a_probe_that_fails_waits_again_without_news() -> None:
    breaker = _opened()
    breaker.allow(10.0)
    assert breaker.failed(10.5, probe=True) is False
    assert breaker.allow(20.4) is False
    assert breaker.allow(20.5) is True


def test_calls_from_before_decide_nothing() -> None:
    breaker = _opened()
    assert breaker.succeeded() is False
    assert breaker.allow(9.9) is False
    breaker.allow(10.0)
    breaker.succeeded()
    breaker.failed(10.0)
    breaker.abandoned(probe=False)
    assert breaker.state is State.HALF_OPEN


def test_an_abandoned_probe_frees_the_next() -> None:
    breaker = _opened()
    breaker.allow(10.0)
    breaker.abandoned(probe=True)
    assert [breaker.allow(10.0) for _ in range(2)] == [True, False]
