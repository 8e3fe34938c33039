"""The demo from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Literal, Protocol

from extproc.sandbox.demo import story
from extproc.sandbox.demo.stage import Chapter, Step, open_stage
from extproc.sandbox.demo.step import Outcome, play
from extproc.sandbox.system import Sandbox

# Budgets for one machine that runs both sites and their clients; and a stopped site is to be noticed, and noticed
# to be back, within the patience of an audience.
_SETTINGS = {"store": {"budget": 0.2}, "envoy": {"message_timeout": 1.0, "health_interval": 1.0}}


class Stopped(Exception):
    """SIGINT or SIGTERM ended the demo, in order."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.exit_code = 128 + number
        """As a shell gives it."""


class Show(Protocol):
    """Who is told of the steps: a table or a record."""

    def starting(self) -> None: ...
    def begin(self, chapter: Chapter, step: Step) -> None: ...
    def end(self, outcome: Outcome) -> None: ...
    def finish(self, outcomes: list[Outcome], pulls: dict[str, float], seconds: float) -> None: ...


async def run_demo(show: Show, *, workers: int, state: Literal["redis", "memory"], wan_rtt: float) -> bool:
    """Tell the whole story; whether each step went as expected. `wan_rtt` in milliseconds.

    Raises SandboxError, and Stopped after SIGINT or SIGTERM.
    """
    story_told = asyncio.ensure_future(_tell(show, workers=workers, state=state, wan_rtt=wan_rtt))
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not received:  # the second signal must not interrupt the cleaning up
            story_told.cancel()
        received.append(number)

    # Both, for SIGINT is ignored where a shell started us in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        return await story_told
    except asyncio.CancelledError:
        if received:
            raise Stopped(received[0]) from None
        raise


async def _tell(show: Show, *, workers: int, state: Literal["redis", "memory"], wan_rtt: float) -> bool:
    begun = time.monotonic()
    show.starting()
    sandbox = Sandbox(workers=workers, state=state, wan_rtt=wan_rtt, settings=_SETTINGS)
    async with sandbox, open_stage(sandbox, wan_rtt) as stage:
        chapters = story.chapters(redis=state == "redis")
        outcomes = await play(chapters, stage, begin=show.begin, end=show.end)
        pulls = dict(stage.pulls)
    show.finish(outcomes, pulls, time.monotonic() - begun)
    return all(outcome.ok for outcome in outcomes)
