from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from tests.evidence.subject import D1, NAME, OTHER, TAG

WHAT = Invalidation(tag=TAG)


class Flaky(MemoryStore):
    """Takes a call if it is up, its name is not bad, and nobody holds it; keeps a record of what it took."""

    def __init__(self) -> None:
        super().__init__(60.0)
        self.up = True
        self.bad: set[Name] = set()
        self.took: list[str] = []
        self.hold: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def _pass(self, what: str, name: Name | None) -> None:
        self.entered.set()
        up = self.up
        if self.hold is not None:
            await self.hold.wait()
        if not up or name in self.bad:
            raise StoreUnavailable("gone")
        self.took.append(what)

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        await self._pass(f"begin {name} {mark}", name)
        await super().begin_write(name, mark, what, ttl)

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        await self._pass(f"end {name} {mark}", name)
        await super().end_write(name, mark, what)

    async def void_leases(self) -> None:
        await self._pass("void", None)
        await super().void_leases()


class Pause:
    """Instead of sleeping: says for how long, and waits until the test lets it go on."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self._go: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self.asked.put_nowait(seconds)
        await self._go.get()

    async def reached(self) -> float:
        return await asyncio.wait_for(self.asked.get(), 10)

    def over(self) -> None:
        self._go.put_nowait(None)


class Rig:
    def __init__(self, *, start_voided: bool = False) -> None:
        self.store = Flaky()
        self.pause = Pause()
        self.backlog = Backlog(self.store, pause=self.pause, start_voided=start_voided)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.backlog.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def drained(self) -> None:
        """Until the loop has nothing left: it takes turns, no time."""
        for _ in range(1000):
            if not self.backlog.pending:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.backlog.pending} pending")


async def test_a_store_that_takes_it_leaves_nothing_pending() -> None:
    rig = Rig()
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    await rig.backlog.end_write(NAME, "m", WHAT)
    await rig.backlog.void_leases()
    assert rig.store.took == ["begin group/app m", "end group/app m", "void"]
    assert not rig.backlog.blocks(NAME)
    assert rig.backlog.pending == 0


async def test_the_name_is_blocked_from_before_the_first_attempt() -> None:
    rig = Rig()
    rig.store.hold = asyncio.Event()
    write = asyncio.create_task(rig.backlog.begin_write(NAME, "m", WHAT, 60.0))
    await rig.store.entered.wait()
    assert rig.backlog.blocks(NAME)
    assert not rig.backlog.blocks(OTHER)
    rig.store.hold.set()
    await write
    assert not rig.backlog.blocks(NAME)


async def test_what_the_store_did_not_take_is_kept_and_retried() -> None:
    rig = Rig()
    rig.store.up = False
    async with rig.running():
        await rig.backlog.begin_write(NAME, "m", Invalidation(tombstone=D1), 60.0)
        await rig.pause.reached()
        assert rig.backlog.blocks(NAME)
        rig.store.up = True
        rig.pause.over()
        await rig.drained()
    assert not rig.backlog.blocks(NAME)
    evidence = await rig.store.decide(NAME, D1)
    assert evidence.marked
    assert evidence.digest is DigestState.DELETED


async def test_an_end_replaces_a_begin_that_is_pending() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    await rig.backlog.end_write(NAME, "m", WHAT)
    assert rig.backlog.pending == 1
    rig.store.up = True
    async with rig.running():
        await rig.drained()
    assert rig.store.took == ["end group/app m"]
    assert not (await rig.store.decide(NAME, TAG)).marked


async def test_an_end_the_store_takes_settles_the_pending_begin() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    rig.store.up = True
    await rig.backlog.end_write(NAME, "m", WHAT)
    assert not rig.backlog.blocks(NAME)
    assert rig.store.took == ["end group/app m"]


async def test_a_late_begin_never_follows_its_end() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    rig.store.up, rig.store.hold = True, asyncio.Event()
    rig.store.entered.clear()
    async with rig.running():
        await rig.store.entered.wait()
        end = asyncio.create_task(rig.backlog.end_write(NAME, "m", WHAT))
        rig.store.hold.set()
        await end
        if rig.backlog.pending:
            await rig.drained()
    assert rig.store.took == ["begin group/app m", "end group/app m"]
    assert not (await rig.store.decide(NAME, TAG)).marked
    assert not rig.backlog.blocks(NAME)


async def test_a_retry_that_comes_while_the_end_is_tried_finds_it_done() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    rig.store.up, rig.store.hold = True, asyncio.Event()
    rig.store.entered.clear()
    end = asyncio.create_task(rig.backlog.end_write(NAME, "m", WHAT))
    await rig.store.entered.wait()
    async with rig.running():
        await asyncio.sleep(0)
        rig.store.hold.set()
        await end
        await asyncio.sleep(0)
    assert rig.store.took == ["end group/app m"]
    assert not rig.backlog.blocks(NAME)


async def test_two_writes_of_a_name_block_it_until_both_are_taken() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "one", WHAT, 60.0)
    await rig.backlog.begin_write(NAME, "two", WHAT, 60.0)
    rig.store.up = True
    await rig.backlog.end_write(NAME, "one", WHAT)
    assert rig.backlog.blocks(NAME)
    await rig.backlog.end_write(NAME, "two", WHAT)
    assert not rig.backlog.blocks(NAME)


async def test_retries_are_in_order() -> None:
    rig = Rig()
    rig.store.up = False
    for mark in ("a", "b", "c"):
        await rig.backlog.begin_write(NAME, mark, WHAT, 60.0)
    rig.store.up = True
    async with rig.running():
        await rig.drained()
    assert rig.store.took == [f"begin group/app {mark}" for mark in ("a", "b", "c")]


async def test_one_names_trouble_does_not_hold_up_the_rest() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.end_write(NAME, "m", WHAT)
    await rig.backlog.end_write(OTHER, "m", WHAT)
    rig.store.up, rig.store.bad = True, {NAME}
    async with rig.running():
        await rig.pause.reached()
        rig.pause.over()
        await rig.pause.reached()
        assert not rig.backlog.blocks(OTHER)
        assert rig.backlog.blocks(NAME)


async def test_the_pause_doubles_up_to_its_limit_and_starts_anew() -> None:
    rig = Rig()
    rig.store.up = False
    pauses = []
    async with rig.running():
        await rig.backlog.end_write(NAME, "m", WHAT)
        for _ in range(6):
            pauses.append(await rig.pause.reached())
            rig.pause.over()
        pauses.append(await rig.pause.reached())
        rig.store.up = True
        rig.pause.over()
        await rig.drained()
        rig.store.up = False
        await rig.backlog.end_write(NAME, "m", WHAT)
        pauses.append(await rig.pause.reached())
    assert pauses == [0.05, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.05]


async def test_a_cancelled_caller_leaves_its_invalidation_to_the_loop() -> None:
    rig = Rig()
    rig.store.hold = asyncio.Event()
    write = asyncio.create_task(rig.backlog.end_write(NAME, "m", WHAT))
    await rig.store.entered.wait()
    write.cancel()
    with suppress(asyncio.CancelledError):
        await write
    assert rig.backlog.blocks(NAME)
    rig.store.hold.set()
    async with rig.running():
        await rig.drained()
    assert rig.store.took == ["end group/app m"]


async def test_a_pending_void_blocks_every_name() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.void_leases()
    assert rig.backlog.blocks(NAME)
    assert rig.backlog.blocks(OTHER)
    rig.store.up = True
    async with rig.running():
        await rig.drained()
    assert not rig.backlog.blocks(NAME)
    assert rig.store.took == ["void"]


async def test_a_void_left_to_the_loop_blocks_at_once() -> None:
    rig = Rig()
    rig.backlog.void_leases_soon()
    assert rig.backlog.blocks(NAME)
    async with rig.running():
        await rig.drained()
        assert not rig.backlog.blocks(NAME)
        rig.backlog.void_leases_soon()
        assert rig.backlog.blocks(NAME)
        await rig.drained()
    assert rig.store.took == ["void", "void"]


async def test_a_void_wished_during_a_void_is_a_void_of_its_own() -> None:
    """The first may have reached the store before what the second is about."""
    rig = Rig()
    rig.store.hold = asyncio.Event()
    first = asyncio.create_task(rig.backlog.void_leases())
    await rig.store.entered.wait()
    rig.store.entered.clear()
    rig.store.up = False
    second = asyncio.create_task(rig.backlog.void_leases())
    await rig.store.entered.wait()
    rig.store.hold.set()
    await asyncio.gather(first, second)
    assert rig.backlog.blocks(NAME)


async def test_a_pending_void_does_not_hold_up_writes() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.void_leases()
    await rig.backlog.end_write(NAME, "m", WHAT)
    rig.store.up = True
    async with rig.running():
        await rig.drained()
    assert rig.store.took == ["void", "end group/app m"]


async def test_started_voided_it_blocks_until_the_store_took_the_void() -> None:
    rig = Rig(start_voided=True)
    assert rig.backlog.blocks(NAME)
    async with rig.running():
        await rig.drained()
    assert not rig.backlog.blocks(NAME)
    assert rig.store.took == ["void"]


async def test_started_voided_an_early_void_settles_it() -> None:
    rig = Rig(start_voided=True)
    await rig.backlog.void_leases()
    assert not rig.backlog.blocks(NAME)
    async with rig.running():
        await asyncio.sleep(0)
    assert rig.store.took == ["void"]


async def test_a_flush_hands_over_what_is_kept() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "m", WHAT, 60.0)
    await rig.backlog.void_leases()
    rig.store.up = True
    assert await rig.backlog.flush(10) == 0
    assert rig.store.took == ["void", "begin group/app m"]
    assert not rig.backlog.blocks(NAME)


async def test_a_flush_with_nothing_kept_asks_nothing() -> None:
    rig = Rig()
    assert await rig.backlog.flush(10) == 0
    assert rig.store.took == []


async def test_a_flush_tries_again_with_pauses() -> None:
    rig = Rig()
    rig.store.up = False
    await rig.backlog.end_write(NAME, "m", WHAT)
    flushing = asyncio.create_task(rig.backlog.flush(10))
    assert [await rig.pause.reached()] == [0.05]
    rig.pause.over()
    assert [await rig.pause.reached()] == [0.1]
    rig.store.up = True
    rig.pause.over()
    assert await flushing == 0
    assert rig.store.took == ["end group/app m"]


async def test_a_flush_ends_in_time_and_counts_what_is_lost() -> None:
    """Also while the store holds the call."""
    rig = Rig()
    rig.store.up = False
    await rig.backlog.begin_write(NAME, "a", WHAT, 60.0)
    await rig.backlog.begin_write(NAME, "b", WHAT, 60.0)
    await rig.backlog.begin_write(OTHER, "a", WHAT, 60.0)
    assert await rig.backlog.flush(0.01) == 3
    rig.store.up, rig.store.hold = True, asyncio.Event()
    assert await rig.backlog.flush(0.01) == 3


async def test_a_flush_beside_the_loop_sends_each_once() -> None:
    rig = Rig()
    rig.store.up = False
    for mark in ("a", "b", "c"):
        await rig.backlog.begin_write(NAME, mark, WHAT, 60.0)
    rig.store.up = True
    async with rig.running():
        assert await rig.backlog.flush(10) == 0
    assert sorted(rig.store.took) == [f"begin group/app {mark}" for mark in ("a", "b", "c")]


async def test_after_an_outage_many_kept_writes_are_preceded_by_one_void() -> None:
    """Other workers believe the store before it can be told of each: their old leases must be void by then."""
    for kept, voided in ((51, False), (52, True)):
        store, pause = Flaky(), Pause()
        store.up = False
        backlog = Backlog(store, pause=pause)
        for number in range(kept):
            await backlog.begin_write(NAME, f"m{number}", WHAT, 60)
        flushing = asyncio.create_task(backlog.flush(60.0))
        await pause.reached()
        store.up = True
        pause.over()
        assert await flushing == 0
        # The first that is taken shows that the store is back.
        assert store.took[1:2] == (["void"] if voided else [f"begin {NAME} m2"])
        assert len(store.took) == kept + voided
