"""A step of the story, what it expects, and what was seen instead.

Rules
1. Everything that a row shows is either compared with `Expected` or was checked by the act itself.
2. A step that fails does not end the story: later steps bring parts back, and tell what else is wrong.
3. No step lasts longer than `LIMIT`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import aiohttp

from extproc.sandbox.error import SandboxError

LIMIT: Final = 30.0
"""Seconds."""

Stage = TypeVar("Stage")


class StepFailed(Exception):
    """An act could not be done. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client should see. `status` is None where no single response is shown."""

    status: int | None = None
    site: str = ""
    reason: str | tuple[str, ...] = ""
    """Several where it depends on what a notification has told already."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one act showed."""

    request: str
    milliseconds: float
    status: int | None = None
    site: str = ""
    reason: str = ""
    note: str = ""
    problems: tuple[str, ...] = ()
    """What the act itself found wrong, such as other bytes than were pushed."""


@dataclass(frozen=True)  # no slots: in Python 3.11 a frozen generic cannot have them
class Step(Generic[Stage]):
    title: str
    act: Callable[[Stage], Awaitable[Seen]]
    expected: Expected


@dataclass(frozen=True)  # no slots: in Python 3.11 a frozen generic cannot have them
class Chapter(Generic[Stage]):
    title: str
    steps: tuple[Step[Stage], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step that was played."""

    chapter: str
    title: str
    seen: Seen
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def judge(expected: Expected, seen: Seen) -> tuple[str, ...]:
    """What differs, each in words; nothing when all is as expected."""
    reasons = (expected.reason,) if isinstance(expected.reason, str) else expected.reason
    compared: tuple[tuple[str, int | str | None, tuple[int | str | None, ...]], ...] = (
        ("status", seen.status, (expected.status,)),
        ("site", seen.site, (expected.site,)),
        ("reason", seen.reason, reasons),
    )
    differs = (
        f"{what} is {_word(found)}, expected {' or '.join(map(_word, wanted))}"
        for what, found, wanted in compared
        if found not in wanted
    )
    return (*differs, *seen.problems)


async def play(
    chapters: Sequence[Chapter[Stage]],
    stage: Stage,
    *,
    begin: Callable[[Chapter[Stage], Step[Stage]], None],
    end: Callable[[Outcome], None],
) -> list[Outcome]:
    """Play all steps in order; `begin` and `end` are told of each."""
    outcomes: list[Outcome] = []
    for chapter in chapters:
        for step in chapter.steps:
            begin(chapter, step)
            outcome = await _played(chapter, step, stage)
            outcomes.append(outcome)
            end(outcome)
    return outcomes


async def _played(chapter: Chapter[Stage], step: Step[Stage], stage: Stage) -> Outcome:
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(LIMIT):
            seen = await step.act(stage)
    except (StepFailed, SandboxError, aiohttp.ClientError, OSError) as error:
        elapsed = (asyncio.get_running_loop().time() - started) * 1000
        problem = str(error) or f"{type(error).__name__} after {elapsed / 1000:.1f} s"
        return Outcome(chapter.title, step.title, Seen("", elapsed), (problem,))
    return Outcome(chapter.title, step.title, seen, judge(step.expected, seen))


def _word(value: int | str | None) -> str:
    return str(value) if value else "none"
