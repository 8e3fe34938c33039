"""Findings as a document for programs, and for people: at a terminal, or as plain lines in a pipe."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from extproc.doctor.examination import Examined
from extproc.doctor.finding import State

_PIPE_WIDTH: Final = 10_000
"""Columns where there is no terminal: each row is one line, however long."""
_STYLES: Final = {State.OK: "green", State.UNKNOWN: "cyan", State.WARNING: "yellow", State.FAULT: "bold red"}


def exit_code(examined: Sequence[Examined], *, strict: bool) -> int:
    """1 for a warning or a fault; with `strict` for what is unknown, too."""
    least = State.UNKNOWN if strict else State.WARNING
    return int(any(each.state.severity >= least.severity for each in examined))


def document(examined: Sequence[Examined]) -> dict[str, Any]:
    return {
        "state": max((each.state for each in examined), key=lambda state: state.severity, default=State.OK).value,
        "counts": {state.value: _counts(examined)[state] for state in State},
        "checks": [
            {
                "check": each.name,
                "state": each.state.value,
                "findings": [
                    {
                        "subject": finding.subject,
                        "state": finding.state.value,
                        "text": finding.text,
                        "remedy": finding.remedy,
                    }
                    for finding in each.findings
                ],
            }
            for each in examined
        ],
    }


def print_report(examined: Sequence[Examined], stream: TextIO) -> None:
    """A table with a row for each finding, its remedy below it, and a line that counts them."""
    at_terminal = stream.isatty()
    target = stream if at_terminal else io.StringIO()
    console = Console(file=target, width=None if at_terminal else _PIPE_WIDTH, highlight=False, markup=False)
    console.print(_table(examined))
    console.print()
    console.print(_summary(examined))
    if isinstance(target, io.StringIO) and not at_terminal:
        # Tables fill their lines with spaces, which are of no use in a file.
        stream.writelines(f"{line.rstrip()}\n" for line in target.getvalue().splitlines())


def _table(examined: Sequence[Examined]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("state", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("of", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for each in examined:
        for finding in each.findings:
            state = Text(finding.state.value, _STYLES[finding.state])
            table.add_row(state, each.name, finding.subject, finding.text)
            if finding.remedy:
                table.add_row("", "", "", Text(f"→ {finding.remedy}", "italic"))
    return table


def _summary(examined: Sequence[Examined]) -> str:
    counts = _counts(examined)
    return ", ".join(_told(examined, counts)) if counts else "nothing was looked at"


def _told(examined: Sequence[Examined], counts: Counter[State]) -> Iterator[str]:
    yield f"{len(examined)} check{'' if len(examined) == 1 else 's'}"
    for state in State:
        if counts[state]:
            plural = state in (State.WARNING, State.FAULT) and counts[state] != 1
            yield f"{counts[state]} {state.value}{'s' if plural else ''}"


def _counts(examined: Sequence[Examined]) -> Counter[State]:
    return Counter(finding.state for each in examined for finding in each.findings)
