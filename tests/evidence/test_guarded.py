from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import pytest

from extproc.evidence.breaker import Breaker, State
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Arrived, Changed, DigestState, Evidence, Invalidation, Observation, Snapshot
from extproc.evidence.store import LONGEST_STEP, Store, StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, NAME, TAG, Clock


class Troubled(MemoryStore):
    """Fails, hangs or works as `trouble` says."""

    def __init__(self) -> None:
        super().__init__(60.0)
        self.trouble: BaseException | None = None
        self.hangs = False
        self.calls = 0
        self.entered = asyncio.Event()

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        self.calls += 1
        self.entered.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        return await super().decide(name, reference)


class Rig:
    def __init__(self) -> None:
        self.inner = Troubled()
        self.clock = Clock()
        self.breaker = Breaker(failures=2, pause=10.0)
        self.changes: list[tuple[bool, str]] = []
        self.store = GuardedStore(
            self.inner,
            budget=0.02,
            breaker=self.breaker,
            clock=self.clock,
            on_change=lambda available, detail: self.changes.append((available, detail)),
        )

    async def fails(self, match: str = ".") -> None:
        with pytest.raises(StoreUnavailable, match=match):
            await self.store.decide(NAME, TAG)

    async def open(self) -> None:
        self.inner.trouble = StoreUnavailable("redis://h: gone")
        await self.fails()
        await self.fails()
        assert self.breaker.state is State.OPEN


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def _all(given: AsyncIterator[object]) -> list[object]:
    return [each async for each in given]


OPERATIONS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "decide": lambda s: s.decide(NAME, TAG),
    "begin_write": lambda s: s.begin_write(NAME, "m", Invalidation(), 1.0),
    "end_write": lambda s: s.end_write(NAME, "m", Invalidation()),
    "primary_changed": lambda s: s.primary_changed(NAME, Invalidation()),
    "primary_dropped": lambda s: s.primary_dropped(NAME),
    "secondary_has": lambda s: s.secondary_has(NAME, [D1]),
    "secondary_lost": lambda s: s.secondary_lost(NAME, D1),
    "learn_all": lambda s: s.learn_all(NAME, Snapshot(b"e", b"", 0), [Observation(D1)]),
    "void_leases": lambda s: s.void_leases(),
    "inspect": lambda s: s.inspect(NAME),
    "names": lambda s: _all(s.names()),
    "pages": lambda s: _all(s.pages()),
    "note": lambda s: s.note("run", "text"),
    "noted": lambda s: s.noted("run"),
    "claim": lambda s: s.claim("run", "me", 1.0),
    "release": lambda s: s.release("run", "me"),
    "ping": lambda s: s.ping(),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
async def test_every_operation_passes_and_every_one_is_guarded(
    rig: Rig, operation: Callable[[Store], Awaitable[object]]
) -> None:
    await operation(rig.store)
    await rig.open()
    with pytest.raises(StoreUnavailable, match="left alone"):
        await operation(rig.store)


async def test_learn_passes_its_answer_on(rig: Rig) -> None:
    snapshot = (await rig.store.decide(NAME, TAG)).snapshot
    assert await rig.store.learn(NAME, snapshot, Observation(D1)) is True
    await rig.store.primary_changed(NAME, Invalidation())
    assert await rig.store.learn(NAME, snapshot, Observation(D1)) is False


async def test_every_answer_is_passed_on(rig: Rig) -> None:
    snapshot = (await rig.store.decide(NAME, TAG)).snapshot
    leased = Observation(D1, tag=TAG, media_type="m", secondary=DigestState.ABSENT)
    assert await rig.store.learn_all(NAME, snapshot, [leased]) is True
    assert await rig.store.primary_changed(NAME, Invalidation(tag=TAG), pushed=D1) == Changed(lease_dropped=True)
    assert set((await rig.store.inspect(NAME)).awaited) == {D1}
    assert [each.digest for each in await rig.store.secondary_has(NAME, iter([D1]))] == [D1]
    assert await _all(rig.store.names()) == [NAME]
    await rig.store.note("run", "text")
    assert await rig.store.noted("run") == "text"
    assert await rig.store.claim("run", "me", 60.0) is True
    assert await rig.store.claim("run", "you", 60.0) is False
    await rig.store.release("run", "me")
    assert await rig.store.claim("run", "you", 60.0) is True


async def test_the_budget_is_for_a_step_not_for_all_of_them(rig: Rig) -> None:
    steps: list[int] = []

    class Counting(MemoryStore):
        async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
            steps.append(len(seen))
            return await super().learn_all(name, snapshot, seen)

        async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> tuple[Arrived, ...]:
            steps.append(len(told := list(digests)))
            return await super().secondary_has(name, told)

    store = GuardedStore(Counting(60.0), budget=1.0, breaker=rig.breaker)
    digests = [Digest(f"sha256:{number:064x}") for number in range(2 * LONGEST_STEP + 1)]
    await store.primary_changed(NAME, Invalidation(), pushed=digests[-1])
    snapshot = (await store.decide(NAME, TAG)).snapshot
    assert await store.learn_all(NAME, snapshot, [Observation(digest) for digest in digests]) is True
    assert [each.digest for each in await store.secondary_has(NAME, digests)] == digests[-1:]
    assert steps == [LONGEST_STEP, LONGEST_STEP, 1] * 2
    await store.primary_changed(NAME, Invalidation())
    assert await store.learn_all(NAME, snapshot, [Observation(digest) for digest in digests]) is False
    assert steps[6:] == [LONGEST_STEP]


class Paged(MemoryStore):
    """Two pages; the second hangs, fails or comes, as `second` does."""

    def __init__(self, second: Callable[[], Awaitable[None]]) -> None:
        super().__init__(60.0)
        self._second = second

    async def pages(self) -> AsyncIterator[Sequence[Name]]:
        yield [NAME]
        await self._second()
        yield [Name("group/second")]


async def _comes() -> None:
    pass


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _fails() -> None:
    raise StoreUnavailable("redis://h: gone")


async def test_a_slow_reader_of_names_is_no_failure_of_the_store(rig: Rig) -> None:
    store = GuardedStore(Paged(_comes), budget=0.02, breaker=rig.breaker)
    given = []
    async for name in store.names():
        given.append(name)
        await asyncio.sleep(0.03)  # not a wait for anything: longer than the budget
    assert given == [NAME, Name("group/second")]


@pytest.mark.parametrize(
    ("second", "why"),
    [pytest.param(_hangs, "no answer within", id="hangs"), pytest.param(_fails, "gone", id="fails")],
)
async def test_names_end_where_the_store_does(rig: Rig, second: Callable[[], Awaitable[None]], why: str) -> None:
    store = GuardedStore(Paged(second), budget=0.02, breaker=rig.breaker)
    given: list[Name] = []
    with pytest.raises(StoreUnavailable, match=why):
        async for page in store.pages():
            given += page
    assert given == [NAME]


async def test_a_hanging_store_is_given_up_at_the_budget(rig: Rig) -> None:
    rig.inner.hangs = True
    await rig.fails("no answer within 20 ms")


async def test_an_open_breaker_refuses_at_once_and_says_why(rig: Rig) -> None:
    await rig.open()
    await rig.fails("left alone after failures; the last: redis://h: gone")
    assert rig.inner.calls == 2


async def test_one_report_for_each_change(rig: Rig) -> None:
    await rig.open()
    await rig.fails()
    rig.clock.now += 10.0
    await rig.fails("gone")
    await rig.fails("left alone")
    rig.clock.now += 10.0
    rig.inner.trouble = None
    await rig.store.decide(NAME, TAG)
    await rig.store.decide(NAME, TAG)
    assert rig.changes == [(False, "redis://h: gone"), (True, "answers again")]


async def test_cancellation_is_no_failure(rig: Rig) -> None:
    rig.inner.hangs = True
    for _ in range(5):
        await _cancel_one(rig)
    rig.inner.hangs = False
    await rig.store.decide(NAME, TAG)
    assert rig.changes == []


async def test_a_cancelled_probe_leaves_the_next_call_to_probe(rig: Rig) -> None:
    await rig.open()
    rig.clock.now += 10.0
    rig.inner.hangs = True
    await _cancel_one(rig)
    rig.inner.hangs, rig.inner.trouble = False, None
    await rig.store.decide(NAME, TAG)
    assert rig.breaker.state is State.CLOSED


async def _cancel_one(rig: Rig) -> None:
    rig.inner.entered.clear()
    task = asyncio.create_task(rig.store.decide(NAME, TAG))
    await rig.inner.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_while_one_probes_the_others_are_refused(rig: Rig) -> None:
    await rig.open()
    rig.clock.now += 10.0
    rig.inner.hangs = True
    rig.inner.entered.clear()
    probe = asyncio.create_task(rig.store.decide(NAME, TAG))
    await rig.inner.entered.wait()
    await rig.fails("left alone")
    with pytest.raises(StoreUnavailable):
        await probe
    assert rig.inner.calls == 3


async def test_a_fault_of_ours_surfaces_and_frees_the_probe(rig: Rig) -> None:
    await rig.open()
    rig.clock.now += 10.0
    rig.inner.trouble = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await rig.store.decide(NAME, TAG)
    rig.clock.now += 10.0
    rig.inner.trouble = None
    await rig.store.decide(NAME, TAG)


async def test_closing_is_not_guarded(rig: Rig) -> None:
    await rig.open()
    await rig.store.close()


async def test_without_a_listener_changes_are_silent() -> None:
    inner = Troubled()
    inner.trouble = StoreUnavailable("gone")
    store = GuardedStore(inner, budget=1.0, breaker=Breaker(failures=1, pause=1.0))
    with pytest.raises(StoreUnavailable):
        await store.decide(NAME, TAG)


async def test_after_an_outage_the_store_is_not_believed_at_once() -> None:
    rig = Rig()
    rig.store = GuardedStore(rig.inner, budget=0.02, breaker=rig.breaker, quarantine=0.5, clock=rig.clock)
    await rig.open()
    rig.inner.trouble = None
    rig.clock.now += 10.0
    await rig.fails("not yet told")  # the probe succeeds, and its answer is left aside
    assert rig.breaker.state is State.CLOSED
    rig.clock.now += 0.4
    await rig.fails("not yet told")
    await rig.store.begin_write(NAME, "m", Invalidation(), 1.0)
    rig.clock.now += 0.2
    await rig.store.decide(NAME, TAG)


async def test_one_refused_connection_is_an_outage_too() -> None:
    rig = Rig()
    rig.store = GuardedStore(rig.inner, budget=0.02, breaker=rig.breaker, quarantine=0.5, clock=rig.clock)
    rig.inner.trouble = StoreUnavailable("redis://h: gone")
    await rig.fails("gone")
    rig.inner.trouble = None
    await rig.fails("not yet told")
    rig.clock.now += 0.6
    await rig.store.decide(NAME, TAG)
