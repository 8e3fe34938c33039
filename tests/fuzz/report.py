"""What a run of a target printed (libFuzzer's lines), and the table of all runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STAT: Final = re.compile(r"^stat::(\w+):\s+(\d+)$", re.MULTILINE)
_KEPT: Final = re.compile(r"Test unit written to (.+)$", re.MULTILINE)
_REASON: Final = re.compile(r"=== Uncaught Python exception: ===\s+(.{1,500}?)$", re.MULTILINE)
_COLUMNS: Final = ("target", "seconds", "executions", "new units", "findings")


@dataclass(frozen=True, slots=True)
class Run:
    """One target's run."""

    target: str
    seconds: float
    executions: int
    new_units: int
    """Inputs that reached something new."""
    kept: Path | None = None
    """The input of the finding that ended it."""
    reason: str = ""
    """The finding, or why the run is none: it ended without having run."""

    @property
    def failed(self) -> bool:
        return bool(self.reason)


def read_run(target: str, seconds: float, code: int, printed: str) -> Run:
    """`code` is the process's; only 0 after at least one input is a run without a finding."""
    stats = {name: int(value) for name, value in _STAT.findall(printed)}
    executions = stats.get("number_of_executed_units", 0)
    kept = _KEPT.search(printed)
    found = _REASON.search(printed)
    reason = ""
    if code != 0 or kept is not None:
        reason = found[1] if found else f"it ended with code {code}"
    elif executions == 0:
        reason = "no input was run"
    return Run(target, seconds, executions, stats.get("new_units_added", 0), Path(kept[1]) if kept else None, reason)


def table(runs: Sequence[Run]) -> str:
    rows = [_COLUMNS, *(_row(run) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for target, *figures in rows:
        right = (each.rjust(width) for each, width in zip(figures, widths[1:], strict=True))
        lines.append("  ".join((target.ljust(widths[0]), *right)))
    return "\n".join(lines)


def advice(run: Run, corpus: Path) -> str:
    """What to do with a finding."""
    first = f"{run.target}: {run.reason}"
    if run.kept is None:
        return first
    return (
        f"{first}\n  kept: {run.kept}\n"
        f"  to keep it for good: cp {run.kept} {corpus}/NAME-THAT-SAYS-WHAT-IT-IS\n"
        "  until it is repaired, this fails: .venv/bin/pytest tests/fuzz/test_corpus.py"
    )


def _row(run: Run) -> tuple[str, ...]:
    return run.target, f"{run.seconds:.0f}", f"{run.executions:,}", f"{run.new_units:,}", str(int(run.failed))
