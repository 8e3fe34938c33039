"""What a supervisor asks its workers while they serve, and their answers: a line each, over the pipes of the orders.

Rules
1. Nobody waits for a worker that does not answer: what has come in time is what there is.
2. A worker never waits for its supervisor: an answer for which the pipe has no room is dropped.
3. A question has a number, so that a late answer is not taken for that to the next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from extproc.live.orders import Orders

LONGEST: Final = 2**24
"""Bytes of one line."""
_WITHIN: Final = 1.0
"""Seconds that answers are waited for."""

METRICS: Final = "metrics"
"""A report of `metrics`: in Prometheus' text format."""
DECISIONS: Final = "decisions"
"""A report of what was decided: a journal's (telemetry/journal.py), and `run`, another one after each start."""
KEYS_WANTED: Final = b'{"wanted": "keys"}\n'
"""A worker's line, unasked: a token names a key that it does not know."""

Report = dict[str, Any]
"""What a worker answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """A worker is to report."""

    number: int
    about: str
    """What is asked: the name of a report."""

    def line(self) -> bytes:
        return json.dumps({"question": self.number, "about": self.about}).encode() + b"\n"

    def answer(self, report: Report) -> bytes:
        return json.dumps({"answer": self.number, "report": report}).encode() + b"\n"


def told(line: bytes) -> Orders | Question:
    """What a line from the supervisor is."""
    if line.startswith(b'{"question"'):
        asked = json.loads(line)
        return Question(asked["question"], asked["about"])
    return Orders.taken(line)


class Asking:
    """The supervisor's side."""

    def __init__(self, within: float = _WITHIN) -> None:
        """`within`: seconds that answers are waited for."""
        self._within = within
        self._number = 0
        self._awaited: dict[int, asyncio.Future[Report]] = {}
        """By worker, of the last question."""
        self._turn = asyncio.Lock()

    async def reports(self, about: str, workers: Mapping[int, asyncio.subprocess.Process]) -> dict[int, Report]:
        """Of those that answered in time, by their numbers. One question at a time."""
        async with self._turn:
            self._number += 1
            question = Question(self._number, about).line()
            loop = asyncio.get_running_loop()
            self._awaited = {}
            for number, process in workers.items():
                if process.stdin is not None and not process.stdin.is_closing():
                    process.stdin.write(question)
                    self._awaited[number] = loop.create_future()
            awaited = self._awaited
            if awaited:
                await asyncio.wait(awaited.values(), timeout=self._within)
            return {number: answer.result() for number, answer in awaited.items() if answer.done()}

    def take(self, worker: int, line: bytes) -> None:
        """A line that a worker wrote while it serves."""
        try:
            answer = json.loads(line)
        except ValueError:
            return
        if isinstance(answer, dict) and answer.get("answer") == self._number:
            waiting = self._awaited.get(worker)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer["report"])
