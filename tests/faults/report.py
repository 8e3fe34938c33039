"""What was found, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.judge import Verdict

FILE = Path(__file__).parents[2] / "build" / "faults.json"


def table(verdicts: dict[str, Verdict]) -> str:
    lines = [
        f"{'fault':46}{'requests':>9}{'errors':>8}{'allowed':>9}{'stale':>7}{'wrong':>7}{'local again after':>19}"
    ]
    for name, verdict in verdicts.items():
        seconds = "never" if verdict.recovered_after is None else f"{verdict.recovered_after:.2f} s"
        counts = f"{verdict.requests:>9}{len(verdict.errors):>8}{verdict.allowed:>9}{len(verdict.stale):>7}"
        lines.append(f"{name:46}{counts}{len(verdict.wrong):>7}{seconds:>19}")
    return "\n".join(lines)


def write(verdicts: dict[str, Verdict], file: Path = FILE) -> None:
    document = [
        {
            "fault": name,
            "requests": verdict.requests,
            "client_errors": len(verdict.errors),
            "allowed_errors": verdict.allowed,
            "stale_reads": len(verdict.stale),
            "wrong_answers": len(verdict.wrong),
            "seconds_to_recover": verdict.recovered_after,
        }
        for name, verdict in verdicts.items()
    ]
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
