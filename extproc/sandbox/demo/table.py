"""The story for people: a table that grows by a row for each step, and bars at its end.

Each row is printed as a table of its own with fixed widths, so that it stays in the terminal's history and in
the log of a pipeline alike.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from extproc.sandbox.demo.stage import Chapter, Step
from extproc.sandbox.demo.step import Outcome

WIDTH: Final = 120
"""Of a terminal that shows all columns; in a narrower one the request goes below."""

_COLUMNS: Final = (("", 1), ("step", 38), ("request", 34), ("status", 6), ("site", 9), ("reason", 20), ("ms", 6))
_BELOW: Final = "request"
_NARROW: Final = tuple((title, min(width, 31)) for title, width in _COLUMNS if title != _BELOW)
_SITES: Final = {"primary": "yellow", "secondary": "green"}
_BAR: Final = 50


class Story:
    """Prints to `console`; where that is no terminal, all columns are shown."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, WIDTH)
        wide = self._console.width >= WIDTH
        self._columns = _COLUMNS if wide else _NARROW
        self._chapter = ""
        self._waiting: Status | None = None

    def starting(self) -> None:
        self._wait("starting both sites …")

    def begin(self, chapter: Chapter, step: Step) -> None:
        self._stop_waiting()
        if not self._chapter:
            self._row({title: Text(title, "bold") for title, _ in self._columns})
        if chapter.title != self._chapter:
            self._chapter = chapter.title
            self._console.print(Text(f"\n{chapter.title}", "bold cyan"))
        self._wait(step.title)

    def end(self, outcome: Outcome) -> None:
        self._stop_waiting()
        seen, request = outcome.seen, Text(_shortened(outcome.seen.request), "dim")
        self._row(
            {
                "": Text("✓", "green") if outcome.ok else Text("✗", "bold red"),
                "step": Text(outcome.title),
                _BELOW: request,
                "status": Text(str(seen.status or "")),
                "site": Text(seen.site, _SITES.get(seen.site, "")),
                "reason": Text(seen.reason),
                "ms": Text(f"{seen.milliseconds:.0f}"),
            }
        )
        below = [Text(seen.note, "dim italic")] if seen.note else []
        if self._columns is _NARROW and seen.request:
            below.insert(0, request)
        if below:
            self._console.print(Text("    ") + Text(": ", "dim").join(below))
        for problem in outcome.problems:
            self._console.print(Text(f"    ✗ {problem}", "bold red"))

    def finish(self, outcomes: list[Outcome], pulls: dict[str, float], seconds: float) -> None:
        self._stop_waiting()
        if pulls:
            self._bars(pulls)
        failed = sum(not outcome.ok for outcome in outcomes)
        verdict = f"{failed} of {len(outcomes)} steps failed" if failed else f"all {len(outcomes)} steps as expected"
        self._console.print(Text(f"\n{verdict}, {seconds:.0f} s", "bold red" if failed else "bold green"))

    def _bars(self, pulls: dict[str, float]) -> None:
        self._console.print(Text("\nOne whole pull by skopeo, milliseconds", "bold cyan"))
        longest, label_width = max(pulls.values()), max(map(len, pulls))
        for label, took in pulls.items():
            bar = "█" * max(1, round(_BAR * took / longest))
            self._console.print(Text.assemble(f"  {label:{label_width}}  ", (bar, "cyan"), f" {took:.0f}"))

    def _row(self, cells: dict[str, Text]) -> None:
        row = Table(show_header=False, box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for title, width in self._columns:
            row.add_column(width=width, justify="right" if title == "ms" else "left", overflow="fold")
        row.add_row(*(cells[title] for title, _ in self._columns))
        self._console.print(row)

    def _wait(self, message: str) -> None:
        self._stop_waiting()
        if self._console.is_terminal:
            self._waiting = self._console.status(Text(message, "dim"))
            self._waiting.start()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None


def _shortened(request: str) -> str:
    """Digests to their first characters: a row is to stay one line."""
    head, separator, value = request.partition("sha256:")
    return f"{head.replace('/v2/demo/app/', '…/')}{separator}{value[:6]}{'…' if separator else ''}"
