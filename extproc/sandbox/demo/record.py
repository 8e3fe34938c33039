"""The story as JSON lines, for machines: a line for each step, then one with the verdict."""

from __future__ import annotations

import json
import sys
from typing import Any

from extproc.sandbox.demo.stage import Chapter, Step
from extproc.sandbox.demo.step import Outcome


class Record:
    """Writes to standard output, each line at once."""

    def starting(self) -> None:
        """Nothing: a reader of lines does not watch."""

    def begin(self, chapter: Chapter, step: Step) -> None:
        """Nothing, likewise."""

    def end(self, outcome: Outcome) -> None:
        seen = outcome.seen
        _line(
            {
                "chapter": outcome.chapter,
                "step": outcome.title,
                "request": seen.request,
                "status": seen.status,
                "site": seen.site or None,
                "reason": seen.reason or None,
                "milliseconds": round(seen.milliseconds, 1),
                "note": seen.note,
                "ok": outcome.ok,
                "problems": list(outcome.problems),
            }
        )

    def finish(self, outcomes: list[Outcome], pulls: dict[str, float], seconds: float) -> None:
        failed = sum(not outcome.ok for outcome in outcomes)
        _line(
            {
                "ok": not failed,
                "steps": len(outcomes),
                "failed": failed,
                "seconds": round(seconds, 1),
                "pull_milliseconds": {label: round(took) for label, took in pulls.items()},
            }
        )


def _line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()
