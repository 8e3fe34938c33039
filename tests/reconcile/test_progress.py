"""What people see while a run goes on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import Head
from extproc.reconcile.progress import Bar, Lines, duration, watched
from extproc.reconcile.source import Source, given
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


GUESSED = Source("catalog", SOURCE.walk)


def test_more_names_than_guessed(clock: Clock) -> None:
    """The site has grown since: nobody knows by how much, so nothing is said of what is left."""
    stream = io.StringIO()
    lines = Lines(stream, clock)
    lines.begin(GUESSED, 3, 0)
    for number in range(1, 5):
        clock.now += 5
        lines.name_done(Counts(names=number))
    assert stream.getvalue().splitlines()[1:] == [
        "reconcile: 1 of 3 names, 0 tags, 0 tags/s, about 10 s left",
        "reconcile: 2 of 3 names, 0 tags, 0 tags/s, about 5 s left",
        "reconcile: 3 names, 0 tags, 0 tags/s",
        "reconcile: 4 names, 0 tags, 0 tags/s",
    ]


@pytest.mark.parametrize(
    ("source", "done", "shown"),
    [
        pytest.param(GUESSED, 0, [(1, 3), (2, 3), (3, None), (4, None)], id="guessed"),
        pytest.param(GUESSED, 5, [(6, None), (7, None), (8, None), (9, None)], id="guessed, and passed before"),
        pytest.param(SOURCE, 0, [(1, 3), (2, 3), (3, 3), (4, None)], id="counted"),
    ],
)
def test_a_bar_is_full_only_at_the_end(source: Source, done: int, shown: list[tuple[int, int | None]]) -> None:
    with Progress(console=Console(file=io.StringIO())) as progress:
        bar = Bar(progress)
        bar.begin(source, 3, done)
        assert progress.tasks[0].total == (3 if done < 3 else None)
        seen = []
        for number in range(1, 5):
            bar.name_done(Counts(names=number))
            seen.append((progress.tasks[0].completed, progress.tasks[0].total))
    assert seen == shown


def test_an_interrupted_run_that_gives_way() -> None:
    stream = io.StringIO()
    head = Head("catalog", "reconcile on host, pid 1", 0.0, 1500)
    Lines(stream).displaces(head)
    with Progress(console=Console(file=stream, width=300)) as progress:
        Bar(progress).displaces(head)
    told, shown = (line for line in stream.getvalue().splitlines() if line.strip())
    assert told == f"reconcile: {shown}"
    assert shown == (
        "an interrupted run with names from catalog, 1500 of them done, gives way to this one "
        "as soon as it has some done; to continue it instead, stop this one and run reconcile with those names"
    )


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
