"""One fault as data, and how it is run: load before, during and after it, then judged."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.faults.judge import Part, Verdict
from tests.faults.ledger import Entry, Kind, Match
from tests.faults.load import PATIENCE
from tests.faults.rig import Rig

REQUESTS: Final = int(os.environ.get("GEO_TEST_FAULT_REQUESTS", "60"))
"""For each fault, at least; `make test-faults` sends 5,000."""
_WITHIN: Final = 60.0 + REQUESTS / 10

Act = Callable[[Rig], Awaitable[None]]


async def nothing(rig: Rig) -> None:
    return


@dataclass(frozen=True)
class Fault:
    """`begin` returns once it is there, `end` once its cause is gone; how long all takes to recover is measured."""

    name: str
    begin: Act
    end: Act = nothing
    felt: tuple[Match, ...] = ()
    """What clients must see of it, each at least once: else nothing was tested."""
    allowed: Mapping[Kind, frozenset[int]] = field(default_factory=dict)
    """What may fail while it lasts, and how (design.md, section 8)."""
    patience: float = PATIENCE
    """Seconds that clients wait, where a fault would keep them for ever."""
    calm: bool = False
    """It begins before any client is there: there is no gateway meanwhile."""
    tidy: Act = nothing
    """Afterwards, without clients."""
    trusting_notifications: bool = True
    """See judge.py."""


async def run(rig: Rig, fault: Fault) -> Verdict:
    """A third of the requests before it, a third during it, a third after it; if need be more, until it was felt, and
    until reads are local again. AssertionError where that does not come."""
    ledger, first = rig.ledger, len(rig.ledger.entries)
    third = math.ceil(REQUESTS / 3)

    def any_(entry: Entry) -> bool:
        return entry.kind != "direct"

    async def wait(match: Match, number: int, after: int, what: str) -> None:
        await ledger.until(match, number, after=after, within=_WITHIN, what=f"{fault.name}: {what}")

    async with AsyncExitStack() as stack:
        stack.push_async_callback(_quiet, rig)
        began = time.monotonic()
        if fault.calm:
            await fault.begin(rig)
            await stack.enter_async_context(under_load(rig))
        else:
            await stack.enter_async_context(under_load(rig))
            await wait(any_, third, first, "requests before it")
            await wait(lambda entry: entry.local and entry.kind == "tag", 1, first, "a local tag before it")
            rig.sites.patience = fault.patience
            began = time.monotonic()
            await fault.begin(rig)
        during = len(ledger.entries)
        await wait(any_, 2 * third if fault.calm else third, during, "requests during it")
        for number, match in enumerate(fault.felt):
            await wait(match, 1, during, f"sign {number} of it")
        await fault.end(rig)
        ended = time.monotonic()
        after = len(ledger.entries)
        for kinds in ({"tag"}, {"manifest", "blob"}):
            await wait(
                lambda entry, kinds=kinds: entry.local and entry.kind in kinds and entry.begun >= ended,  # type: ignore[misc]
                1,
                after,
                f"local reads of {kinds} after it",
            )
        rig.sites.patience = PATIENCE
        await wait(any_, third, after, "requests after it")
    part = Part(ledger.entries[first:], began, ended)
    verdict = rig.judge().verdict(part, fault.allowed, trusting_notifications=fault.trusting_notifications)
    await fault.tidy(rig)
    return verdict


async def _quiet(rig: Rig) -> None:
    """Also after a fault that was not felt or does not end: the next one begins without it."""
    rig.sites.patience = PATIENCE
    await rig.end_background()


@asynccontextmanager
async def under_load(rig: Rig) -> AsyncIterator[None]:
    """Clients until the end of the block; then each ends the round it is in."""
    over = asyncio.Event()
    for client in rig.clients:
        await client.fetch_tokens()
    tasks = [asyncio.create_task(client.run(over)) for client in rig.clients]
    try:
        yield
        over.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
