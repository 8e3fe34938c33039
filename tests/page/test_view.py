"""A snapshot as the templates want it."""

from __future__ import annotations

import pytest

from extproc.page.served import Kind
from extproc.page.snapshot import Made
from extproc.page.view import HEIGHT, place, view
from tests.page.snapshots import HERE, LOGIN, PRIMARY, entry, snapshot


def test_the_saving() -> None:
    shown = view(
        snapshot(
            {HERE: 3},
            {
                Kind("bytes", "secondary", False): 900,
                Kind("bytes", "primary", False): 100,
                Kind("bytes", "secondary", True): 7,
                Kind("bytes", "none", False): 50,
                Kind("requests", "secondary", True): 2,
                Kind("requests", "secondary", False): 5,
            },
        )
    ).bytes_hour
    assert (shown.here, shown.primary, shown.redirected, shown.requests) == (900, 100, 2, 7)
    assert shown.share == 0.9
    assert view(snapshot()).bytes_hour.share is None


def test_bars_stand_on_the_ground_and_the_highest_fills_the_chart() -> None:
    bars = view(snapshot(minutes=[{HERE: 6, PRIMARY: 3, LOGIN: 1}, {HERE: 5}])).bars
    assert len(bars) == 60
    assert (bars[-2].ago, bars[-1].ago) == (1, 0)
    assert bars[-2].parts == (("here", 40.0, 60.0), ("primary", 10.0, 30.0), ("refused", 0.0, 10.0))
    assert bars[-1].parts == (("here", HEIGHT / 2, HEIGHT / 2),)
    assert bars[-1].counts == {"here": 5, "primary": 0, "refused": 0}
    assert bars[0].parts == ()


def test_no_traffic_makes_no_bars() -> None:
    shown = view(snapshot())
    assert shown.most == 0
    assert all(bar.parts == () for bar in shown.bars)


def test_reasons_the_most_frequent_first() -> None:
    rows = view(snapshot({PRIMARY: 1, HERE: 2, Made("digest-present", "secondary", "manifest", ""): 1})).reasons
    assert [(row.reason, row.place, row.hour, row.share) for row in rows] == [
        ("digest-present", "here", 3, 0.75),
        ("tag-stale", "primary", 1, 0.25),
    ]
    assert rows[0].meaning == "this site has it"


def test_an_hour_that_is_younger() -> None:
    assert view(snapshot(since=snapshot().at - 90)).looked == 90
    assert view(snapshot()).looked == 3600


@pytest.mark.parametrize(
    ("route", "where"),
    [
        ("secondary", "here"),
        ("local", "here"),
        ("primary", "primary"),
        ("primary-then-secondary", "primary"),
        ("refused", "refused"),
    ],
)
def test_where_a_route_leads(route: str, where: str) -> None:
    assert place(route) == where


def test_decisions_have_the_clock_of_the_logs() -> None:
    (row,) = view(snapshot(last=[entry(at=1_800_000_000.0)])).last
    assert (row["clock"], row["place"], row["name"]) == ("08:00:00", "here", "g/app")
