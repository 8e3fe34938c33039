"""Counters that only grow become what came lately."""

from __future__ import annotations

from collections import Counter

from extproc.page.traffic import SPAN, Traffic

NOW = 100_000.0


def test_what_came_in_between_is_counted_once() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 3}, NOW)
    traffic.take("0", "a", {"x": 5, "y": 1}, NOW + 2)
    traffic.take("0", "a", {"x": 5, "y": 1}, NOW + 4)
    assert traffic.minute(NOW + 4) == Counter(x=5, y=1)


def test_a_minute_and_an_hour_end() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 1}, NOW)
    assert traffic.minute(NOW + 60 - SPAN) == Counter(x=1)
    assert traffic.minute(NOW + 60) == Counter()
    assert traffic.hour(NOW + 3600 - SPAN) == Counter(x=1)
    assert traffic.hour(NOW + 3600) == Counter()


def test_each_worker_counts_for_itself() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 1}, NOW)
    traffic.take("1", "b", {"x": 10}, NOW)
    traffic.take("0", "a", {"x": 2}, NOW)
    assert traffic.minute(NOW) == Counter(x=12)


def test_one_that_was_started_again_begins_at_zero() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 5}, NOW)
    traffic.take("0", "b", {"x": 7}, NOW)
    assert traffic.minute(NOW) == Counter(x=12)
    # One that does not say so is seen by numbers that shrink.
    traffic.take("0", "b", {"x": 1}, NOW)
    assert traffic.minute(NOW) == Counter(x=13)


def test_what_was_counted_before_we_came_is_left_out_where_nobody_knows_when_it_came() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("envoy", "", {"x": 1000}, NOW, whole=False)
    assert traffic.hour(NOW) == Counter()
    traffic.take("envoy", "", {"x": 1001}, NOW, whole=False)
    assert traffic.hour(NOW) == Counter(x=1)


def test_sixty_minutes_the_last_one_now() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 1}, NOW - 3590)
    traffic.take("0", "a", {"x": 3}, NOW - 60)
    traffic.take("0", "a", {"x": 6}, NOW)
    minutes = list(traffic.minutes(NOW))
    assert len(minutes) == 60
    assert (minutes[0], minutes[58], minutes[59]) == (Counter(x=1), Counter(x=2), Counter(x=3))
    assert sum((minute.total() for minute in minutes), 0) == traffic.hour(NOW).total()


def test_no_more_than_an_hour_is_kept() -> None:
    traffic: Traffic[str] = Traffic()
    for number in range(1000):
        traffic.take("0", "a", {"x": number}, NOW + number * SPAN)
    assert len(traffic._spans) == 360


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    traffic: Traffic[str] = Traffic()
    traffic.take("0", "a", {"x": 1}, NOW)
    traffic.take("0", "a", {"x": 4}, NOW - 500)
    assert traffic.hour(NOW) == Counter(x=4)
