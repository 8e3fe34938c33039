"""The chapters in their order. Each leaves the parts running, and the tag `latest` served from here."""

from __future__ import annotations

from extproc.sandbox.demo import arrival, faults, login, pulls, strict, writes
from extproc.sandbox.demo.stage import Chapter


def chapters(*, redis: bool) -> tuple[Chapter, ...]:
    """The whole story; without Redis there is none to stop."""
    return (
        login.CHAPTER,
        arrival.PUSHED,
        arrival.REPLICATED,
        pulls.CHAPTER,
        writes.CHAPTER,
        *((faults.REDIS,) if redis else ()),
        faults.PROCESSOR,
        faults.SECONDARY,
        faults.PRIMARY,
        strict.CHAPTER,
    )
