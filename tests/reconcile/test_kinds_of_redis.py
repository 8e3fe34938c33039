"""Reconcile with its evidence in each kind of Redis, as every process has it: through a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import pytest

from extproc.build import unhurried
from extproc.evidence.model import DigestState, Invalidation
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.checkpoint import finished, running
from extproc.reconcile.claim import claimed
from extproc.reconcile.run import Reconciler
from extproc.reconcile.source import source_of
from extproc.reconcile.summary import Summary
from extproc.settings import Reconcile
from tests.reconcile.fake_site import FakeSite
from tests.support.redis_kinds import KINDS, redis_store
from tests.support.redis_kinds import running as running_redis

NAMES = [Name(f"group/app{number}") for number in range(40)]
"""In slots of all masters of a cluster."""


@dataclass
class Rig:
    """Two registries that differ, and the stores of two processes in one Redis."""

    primary: FakeSite
    secondary: FakeSite
    store: Store
    other: Store

    async def run(self, store: Store | None = None, names: Literal["catalog", "store"] = "catalog") -> Summary:
        """Holding the claim, as the command does."""
        used = unhurried(store or self.store)
        source = source_of(Reconcile(names=names), self.primary, used)
        async with claimed(used):
            reconciler = Reconciler(used, self.primary, self.secondary, concurrency=8)
            return await reconciler.run(source, by="a test")

    async def leases(self) -> dict[Name, dict[Tag, Digest]]:
        found = {}
        async for name in self.other.names():
            record = await self.other.inspect(name)
            found[name] = {tag: lease.digest for tag, lease in record.leases.items()}
        return found


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Rig]:
    primary, secondary = FakeSite(), FakeSite()
    for name in NAMES:
        for side in (primary, secondary):
            side.put(name, f"{name} same", "v1", "v2")
        primary.put(name, f"{name} after", "moved")
        secondary.put(name, f"{name} before", "moved")
        primary.put(name, f"{name} new", "new")
    where = running_redis(request, request.param)
    async with AsyncExitStack() as stack:
        stores = [redis_store(where, prefix=prefix) for _ in range(2)]
        for store in stores:
            stack.push_async_callback(store.close)
        yield Rig(primary, secondary, *stores)


async def test_what_one_process_finds_another_knows(rig: Rig) -> None:
    summary = await rig.run()
    count = len(NAMES)
    assert (summary.names, summary.tags, summary.leases) == (count, 4 * count, 4 * count)
    assert (summary.same, summary.behind, summary.missing) == (2 * count, count, count)
    assert (summary.errors, summary.unread, summary.busy) == (0, 0, 0)
    assert await finished(rig.other) == summary
    assert await running(rig.other) is None
    assert await rig.leases() == rig.primary.listed
    for name in NAMES:
        same, new = (rig.primary.listed[name][Tag(tag)] for tag in ("v1", "new"))
        assert (await rig.other.decide(name, same)).digest is DigestState.PRESENT
        assert (await rig.other.decide(name, new)).digest is not DigestState.PRESENT


async def test_again_by_another_process_drops_what_is_no_longer_so(rig: Rig) -> None:
    await rig.run()
    gone, changed = NAMES[0], NAMES[1]
    for digest in set(rig.primary.listed.pop(gone).values()):
        del rig.primary.manifests[gone, digest]
    del rig.primary.listed[changed][Tag("v1")]
    rig.secondary.put(changed, f"{changed} after", "moved")
    summary = await rig.run(rig.other, names="store")
    assert (summary.names, summary.gone, summary.errors) == (len(NAMES), 1, 0)
    leases = await rig.leases()
    assert leases.pop(gone) == {}
    assert leases == rig.primary.listed
    moved = rig.primary.listed[changed][Tag("moved")]
    assert (await rig.store.decide(changed, moved)).digest is DigestState.PRESENT


async def test_a_write_in_the_middle_wins(rig: Rig) -> None:
    name, tag = NAMES[0], Tag("v1")

    async def write(question: str) -> None:
        if question.startswith(f"resolve {name} {tag}"):
            await rig.other.begin_write(name, "m", Invalidation(tag=tag), 60)

    rig.primary.before = write
    summary = await rig.run()
    assert summary.busy == 1
    leases = await rig.leases()
    assert tag not in leases[name]
    assert leases[NAMES[1]] == rig.primary.listed[NAMES[1]]


async def test_one_at_a_time_and_the_next_goes_on_where_it_was_interrupted(rig: Rig) -> None:
    reached, held = asyncio.Event(), asyncio.Event()

    async def stop_late(question: str) -> None:
        if NAMES[30] in question:
            reached.set()
            await held.wait()

    rig.primary.before = stop_late
    first = asyncio.create_task(rig.run())
    await reached.wait()
    assert not await rig.other.claim("reconcile", "another", 60)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    head = await running(rig.other)
    assert head is not None
    assert 0 < head.done < len(NAMES)
    held.set()
    rig.primary.asked.clear()
    summary = await rig.run(rig.other)
    assert summary.names == len(NAMES)
    asked = {question.split()[1] for question in rig.primary.questions("tags")}
    assert len(asked) == len(NAMES) - head.done
    assert await rig.leases() == rig.primary.listed
