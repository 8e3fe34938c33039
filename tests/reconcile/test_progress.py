"""What people see while a run goes on."""

from __future__ import annotations

import io

import pytest

from extproc.oci.reference import Name
from extproc.reconcile.progress import Bar, Lines, duration, watched
from extproc.reconcile.source import given
from extproc.reconcile.summary import Counts
from tests.evidence.subject import Clock

SOURCE = given([Name("group/app")])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_plain_lines_every_few_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(SOURCE, 100, 0)
    for number in range(1, 13):
        clock.now += 1
        lines.tags(50)
        lines.name_done(Counts(names=number, errors=number // 10))
    assert stream.getvalue().splitlines() == [
        "reconcile: names from the command line",
        "reconcile: 4 of 100 names, 250 tags, 50 tags/s, about 2 min left",
        "reconcile: 9 of 100 names, 500 tags, 50 tags/s, about 2 min left",
    ]


def test_a_continued_run_says_so_and_counts_from_there(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(SOURCE, 100, 40)
    clock.now += 10
    lines.name_done(Counts(names=41, errors=2))
    assert stream.getvalue().splitlines() == [
        "reconcile: names from the command line, continuing after 40 names of an interrupted run",
        "reconcile: 41 of 100 names, 0 tags, 0 tags/s, 2 names with errors, about 10 min left",
    ]


def test_without_a_total_nobody_knows_what_is_left(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(SOURCE, None, 0)
    clock.now += 10
    lines.name_done(Counts(names=1))
    assert stream.getvalue().splitlines()[-1] == "reconcile: 1 names, 0 tags, 0 tags/s"


def test_more_names_than_guessed(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(SOURCE, 1, 0)
    lines.name_done(Counts(names=1))
    clock.now += 10
    lines.name_done(Counts(names=2))
    assert "2 of 2 names" in stream.getvalue()
    assert "about 0 s left" in stream.getvalue()


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    with watched(stream) as watch:
        assert isinstance(watch, Bar)
        watch.begin(SOURCE, 4, 1)
        watch.tags(50)
        watch.name_done(Counts(names=2))
    assert "continuing after 1 names of an interrupted run" in stream.getvalue()
    assert "2 of 4 names, 50 tags" in stream.getvalue()
    assert "left" in stream.getvalue()


def test_lines_elsewhere() -> None:
    with watched(io.StringIO()) as watch:
        assert isinstance(watch, Lines)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1 h 30 min"), (36_300, "10 h 05 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
