"""Workers are asked, and nobody waits for one that does not answer."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from extproc.live.asking import Asking, Question, told

ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)["question"]
    print(json.dumps({"answer": asked, "report": {"metrics": "%s"}}), flush=True)
"""
DEAF = "import sys; sys.stdin.read()"


@asynccontextmanager
async def worker(asking: Asking, number: int, code: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Its lines reach `asking`, as the supervisor sees to it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )

    async def listen() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            asking.take(number, line)

    listening = asyncio.create_task(listen())
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


async def test_all_that_answer_are_there() -> None:
    asking = Asking(within=20)
    async with worker(asking, 0, ECHO % "a") as zero, worker(asking, 1, ECHO % "b") as one:
        for _ in range(3):
            assert await asking.reports("metrics", {0: zero, 1: one}) == {0: {"metrics": "a"}, 1: {"metrics": "b"}}


async def test_one_that_does_not_is_left_out() -> None:
    asking = Asking(within=20)
    async with worker(asking, 0, ECHO % "a") as zero, worker(asking, 1, DEAF) as one:
        asking_both = asyncio.create_task(asking.reports("metrics", {0: zero}))
        assert await asking_both == {0: {"metrics": "a"}}
        impatient = Asking(within=0.01)
        assert await impatient.reports("metrics", {1: one}) == {}


async def test_without_workers_there_is_nothing_to_wait_for() -> None:
    assert await Asking(within=60).reports("metrics", {}) == {}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\xff\n", id="not JSON"),
        pytest.param(b"[]\n", id="no answer"),
        pytest.param(Question(1, "metrics").answer({"metrics": "late"}), id="to an older question"),
    ],
)
async def test_what_is_no_answer_to_this_question_is_left(line: bytes) -> None:
    asking = Asking(within=0.05)
    async with worker(asking, 0, DEAF) as zero:
        await asking.reports("metrics", {0: zero})  # the first question
        second = asyncio.create_task(asking.reports("metrics", {0: zero}))
        await asyncio.sleep(0)
        asking.take(0, line)
        asking.take(7, Question(2, "metrics").answer({}))
        assert await second == {}


def test_a_question_is_told_from_orders() -> None:
    assert told(Question(5, "metrics").line()) == Question(5, "metrics")
    assert json.loads(Question(5, "metrics").answer({"a": 1})) == {"answer": 5, "report": {"a": 1}}
