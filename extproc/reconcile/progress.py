"""How a run goes on, for people: a bar on a terminal, a plain line every few seconds elsewhere. To standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from extproc.reconcile.checkpoint import Head
from extproc.reconcile.run import Watch
from extproc.reconcile.source import Source
from extproc.reconcile.summary import Counts

_LINE_EVERY: Final = 5.0
"""Seconds."""


class _Pace:
    """Tags, their rate, and the time left by names."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._total: int | None = None
        self._guessed = False
        self.resumed = 0
        self.names = 0
        self.tags = 0
        self.errors = 0

    def begin(self, source: Source, total: int | None, done: int) -> None:
        self._began = self._clock()
        self._total, self._guessed, self.resumed = total, source.total is None, done

    @property
    def done(self) -> int:
        """Names, those of an interrupted run included."""
        return self.resumed + self.names

    @property
    def total(self) -> int | None:
        """None also for a guess that the site has outgrown: a bar that is full says that the run is at its end."""
        if self._total is None or self.done > self._total or (self._guessed and self.done == self._total):
            return None
        return self._total

    def rate(self) -> float:
        """Tags a second in this run."""
        return self.tags / max(self._clock() - self._began, 0.001)

    def left(self) -> float | None:
        """Seconds; None while nobody can tell."""
        if self.total is None or self.names == 0:
            return None
        return (self._clock() - self._began) / self.names * (self.total - self.done)

    def words(self) -> str:
        total = "" if self.total is None else f" of {self.total}"
        left = self.left()
        words = [f"{self.done}{total} names", f"{self.tags} tags", f"{self.rate():.0f} tags/s"]
        if self.errors:
            words.append(f"{self.errors} names with errors")
        if left is not None:
            words.append(f"about {duration(left)} left")
        return ", ".join(words)


class Lines:
    """One line every few seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._pace = _Pace(clock)
        self._told_at = clock()

    def begin(self, source: Source, total: int | None, done: int) -> None:
        self._pace.begin(source, total, done)
        self._told_at = self._clock()
        told = f", continuing after {done} names of an interrupted run" if done else ""
        self._tell(f"names from {source.key}{told}")

    def displaces(self, interrupted: Head) -> None:
        self._tell(_giving_way(interrupted))

    def tags(self, count: int) -> None:
        self._pace.tags += count
        self._tell_when_due()

    def name_done(self, counts: Counts) -> None:
        self._pace.names += 1
        self._pace.errors = counts.errors
        self._tell_when_due()

    def _tell_when_due(self) -> None:
        if self._clock() - self._told_at >= _LINE_EVERY:
            self._told_at = self._clock()
            self._tell(self._pace.words())

    def _tell(self, words: str) -> None:
        print(f"reconcile: {words}", file=self._stream, flush=True)


class Bar:
    """A bar with rate and time left; without a total it only moves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._pace = _Pace()
        self._task: TaskID | None = None

    def begin(self, source: Source, total: int | None, done: int) -> None:
        self._pace.begin(source, total, done)
        if done:
            self._progress.console.print(f"continuing after {done} names of an interrupted run")
        self._task = self._progress.add_task(
            source.key, total=self._pace.total, completed=done, words=self._pace.words()
        )

    def displaces(self, interrupted: Head) -> None:
        self._progress.console.print(_giving_way(interrupted))

    def tags(self, count: int) -> None:
        self._pace.tags += count
        self._show()

    def name_done(self, counts: Counts) -> None:
        self._pace.names += 1
        self._pace.errors = counts.errors
        self._show()

    def _show(self) -> None:
        if self._task is not None:
            if self._pace.total is None:
                # To `update` None means that nothing changed.
                self._progress.tasks[0].total = None
            self._progress.update(self._task, completed=self._pace.done, words=self._pace.words())


def _giving_way(interrupted: Head) -> str:
    return (
        f"an interrupted run with names from {interrupted.source}, {interrupted.done} of them done, gives way to "
        "this one as soon as it has some done; to continue it instead, stop this one and run reconcile with those "
        "names"
    )


@contextmanager
def watched(stream: TextIO | None = None) -> Iterator[Watch]:
    """What fits the stream, by default standard error."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Lines(stream)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=Console(file=stream, highlight=False), transient=True) as progress:
        yield Bar(progress)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
