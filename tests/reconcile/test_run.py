"""A run over many names: each once, so many at once, continued where it ended, busy ones once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Invalidation, Record
from extproc.evidence.store import StoreRefused, StoreUnavailable
from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import Head, finished, running
from extproc.reconcile.run import Reconciler
from extproc.reconcile.source import Source, given, source_of
from extproc.reconcile.summary import Counts, Summary
from extproc.registry.error import Misconfigured, RegistryError, Unreachable
from extproc.settings.reconcile import Reconcile
from tests.evidence.subject import Clock
from tests.reconcile.fake_site import FakeSite
from tests.support.traced import Traced

NAMES = [Name(f"group/app{number}") for number in range(30)]


class FaultyStore(MemoryStore):
    """Away for some calls of `inspect` and `ping`, by name."""

    def __init__(self) -> None:
        super().__init__(2.0)
        self.faults: dict[str, list[StoreUnavailable]] = {}

    async def inspect(self, name: Name) -> Record:
        self._fail(name)
        return await super().inspect(name)

    async def ping(self) -> None:
        self._fail("ping")

    def _fail(self, what: str) -> None:
        if self.faults.get(what):
            raise self.faults[what].pop()


@dataclass
class Watching:
    """What a watch was told."""

    begun: list[tuple[str, int | None, int]] = field(default_factory=list)
    tags_told: int = 0
    names_told: list[int] = field(default_factory=list)

    displaced: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, source: Source, total: int | None, done: int) -> None:
        self.begun.append((source.key, total, done))

    def displaces(self, interrupted: Head) -> None:
        self.displaced.append((interrupted.source, interrupted.done))

    def tags(self, count: int) -> None:
        self.tags_told += count

    def name_done(self, counts: Counts) -> None:
        self.names_told.append(counts.names)


@dataclass
class Site:
    """Both sites hold the same; a store, and a run over the catalog."""

    registry: FakeSite = field(default_factory=FakeSite)
    store: FaultyStore = field(default_factory=FaultyStore)
    watching: Watching = field(default_factory=Watching)
    clock: Clock = field(default_factory=Clock)
    patience: float = 0.0
    traced: Traced = field(default_factory=Traced)

    def __post_init__(self) -> None:
        for name in NAMES:
            self.registry.put(name, "content", "v1", "v2")

    def source(self, key: str = "catalog", names: list[Name] | None = None) -> Source:
        async def walk() -> AsyncIterator[Name]:
            for name in NAMES if names is None else names:
                yield name

        return Source(key, walk)

    async def run(self, source: Source | None = None, *, concurrency: int = 4, **options: Any) -> Summary:
        reconciler = Reconciler(
            self.store,
            self.registry,
            self.registry,
            concurrency=concurrency,
            watch=self.watching,
            clock=self.clock,
            patience=self.patience,
            work=self.traced.work,
        )
        return await reconciler.run(source or self.source(), by="a test", **options)

    async def interrupted(self, after: int) -> int:
        """A run that is cancelled when so many names are done; how many it kept as done."""
        reached = asyncio.Event()
        begun = len(self.watching.names_told)

        async def hook(question: str) -> None:
            if len(self.watching.names_told) - begun >= after:
                reached.set()
                await asyncio.Event().wait()

        self.registry.before = hook
        running_now = asyncio.create_task(self.run(concurrency=1))
        await reached.wait()
        running_now.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_now
        self.registry.before = lambda _: asyncio.sleep(0)
        head = await running(self.store)
        assert head is not None
        return head.done

    def compared(self) -> list[str]:
        """Names whose tags were listed, for the primary's sake and the secondary's."""
        return [question.split()[1] for question in self.registry.questions("tags")]


async def test_every_name_is_compared_and_the_summary_kept() -> None:
    site = Site()
    summary = await site.run()
    assert (summary.names, summary.tags, summary.same, summary.leases) == (30, 60, 60, 60)
    assert (summary.source, summary.by, summary.started) == ("catalog", "a test", site.clock.now)
    assert await finished(site.store) == summary
    assert await running(site.store) is None
    assert site.watching.begun == [("catalog", None, 0)]
    assert (site.watching.tags_told, site.watching.names_told[-1]) == (60, 30)


async def test_a_name_that_comes_twice_is_compared_once() -> None:
    site = Site()
    summary = await site.run(site.source(names=NAMES[:3] * 5), concurrency=8)
    assert summary.names == 3
    assert sorted(set(site.compared())) == sorted(NAMES[:3])
    assert len(site.compared()) == 6


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_so_many_names_at_once(concurrency: int) -> None:
    site = Site()
    under_way: set[str] = set()
    most = 0

    async def hook(question: str) -> None:
        nonlocal most
        name = question.split()[1]
        under_way.add(name)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.discard(name)

    site.registry.before = hook
    await site.run(concurrency=concurrency)
    assert most == concurrency


async def test_an_interrupted_run_is_continued() -> None:
    site = Site()
    assert await site.interrupted(after=10) == 10
    site.registry.asked.clear()
    summary = await site.run()
    assert set(site.compared()) == set(NAMES[10:])
    assert (summary.names, summary.tags, summary.leases) == (30, 60, 60)
    assert site.watching.begun[-1] == ("catalog", None, 10)


async def test_interrupted_twice() -> None:
    site = Site()
    await site.interrupted(after=10)
    assert await site.interrupted(after=5) == 15
    assert (await site.run()).names == 30


async def test_the_start_of_a_continued_run_is_its_first() -> None:
    site = Site()
    begun = site.clock.now
    await site.interrupted(after=1)
    site.clock.now += 3600
    summary = await site.run()
    assert (summary.started, summary.finished) == (begun, begun + 3600)


async def test_fresh_begins_anew() -> None:
    site = Site()
    await site.interrupted(after=10)
    site.registry.asked.clear()
    assert (await site.run(fresh=True)).names == 30
    assert set(site.compared()) == set(NAMES)


async def test_the_total_is_guessed_from_the_last_run_of_the_same_source() -> None:
    site = Site()
    await site.run()
    await site.run()
    await site.run(site.source("store"))
    assert [total for _, total, _ in site.watching.begun] == [None, 30, None]


async def test_single_names_leave_the_notes_of_the_site_alone() -> None:
    site = Site()
    last = await site.run()
    await site.interrupted(after=10)
    summary = await site.run(given(NAMES[:2]))
    assert (summary.names, summary.source) == (2, "the command line")
    assert await finished(site.store) == last
    head = await running(site.store)
    assert head is not None
    assert head.done == 10


async def test_a_name_that_was_busy_is_tried_once_more_at_the_end() -> None:
    site = Site()
    await site.store.begin_write(NAMES[0], "mark", Invalidation(), 60)

    async def hook(question: str) -> None:
        if NAMES[-1] in question:
            await site.store.end_write(NAMES[0], "mark", Invalidation())

    site.registry.before = hook
    summary = await site.run(concurrency=1)
    assert (summary.names, summary.tags, summary.busy, summary.leases) == (30, 60, 0, 60)
    assert site.compared()[-1] == NAMES[0]


async def test_a_name_that_stays_busy_is_counted_once() -> None:
    site = Site()
    await site.store.begin_write(NAMES[0], "mark", Invalidation(), 60)
    summary = await site.run()
    assert (summary.names, summary.tags, summary.busy, summary.leases) == (30, 60, 1, 58)
    assert site.compared().count(NAMES[0]) == 4


async def test_a_name_that_cannot_be_read_does_not_stop_the_others() -> None:
    site = Site()
    site.registry.refused[f"tags {NAMES[3]} "] = RegistryError("it answered 500", 500)
    summary = await site.run()
    assert (summary.names, summary.errors, summary.tags) == (30, 1, 58)
    assert summary.error_examples == ("group/app3: it answered 500",)


async def test_names_that_cannot_be_walked_end_the_run_which_can_be_continued() -> None:
    site = Site()

    async def walk() -> AsyncIterator[Name]:
        for name in NAMES[:10]:
            yield name
        raise RegistryError("the catalog answered 500", 500)

    with pytest.raises(RegistryError, match="catalog"):
        await site.run(Source("catalog", walk), concurrency=1)
    head = await running(site.store)
    assert head is not None
    assert head.done == 10


async def test_an_interrupted_run_over_other_names_is_told_of_and_kept_until_this_one_has_done_some() -> None:
    site = Site()
    await site.interrupted(after=10)
    other = site.source("store")

    def away() -> AsyncIterator[Name]:
        raise RegistryError("the catalog answered 500", 500)

    with pytest.raises(RegistryError):
        await site.run(Source("store", away))
    assert site.watching.displaced == [("catalog", 10)]
    head = await running(site.store)
    assert head is not None
    assert (head.source, head.done) == ("catalog", 10)
    await site.run(other)
    assert site.watching.displaced == [("catalog", 10)] * 2
    await site.interrupted(after=1)
    await site.run(site.source("store"), fresh=True)
    assert site.watching.displaced == [("catalog", 10)] * 2, "who asked for it need not be told"


async def test_a_run_that_failed_at_once_has_not_begun() -> None:
    site = Site()
    site.registry.refused["catalog"] = Unreachable("the primary registry: it cannot be reached")
    with pytest.raises(Unreachable):
        await site.run(source_of(Reconcile(), site.registry, site.store))
    assert await running(site.store) is None
    site.registry.refused.clear()
    site.clock.now += 600
    assert (await site.run()).started == site.clock.now


@pytest.mark.parametrize("error", [Unreachable("it cannot be reached"), Misconfigured("it refused us", 401)])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_site_that_is_down_ends_the_run_early(error: RegistryError, concurrency: int) -> None:
    site = Site()
    down = ("tags", "resolve", "manifest")

    async def hook(question: str) -> None:
        await asyncio.sleep(0)
        if len(site.watching.names_told) >= 10:
            site.registry.refused = dict.fromkeys(down, error)

    site.registry.before = hook
    with pytest.raises(
        type(error), match=r"^it .+; so it went with \d names in a row: the run ends, 1\d names are done and"
    ):
        await site.run(concurrency=concurrency)
    head = await running(site.store)
    assert head is not None
    assert (head.counts.errors, head.counts.names) == (0, head.done)
    assert len(set(site.compared())) < len(NAMES)
    site.registry.before, site.registry.refused = lambda _: asyncio.sleep(0), {}
    summary = await site.run()
    assert (summary.names, summary.errors, summary.tags) == (30, 0, 60)


async def test_a_few_names_that_cannot_be_reached_are_errors() -> None:
    site = Site()
    for name in NAMES[3:9:2]:
        site.registry.refused[f"tags {name} "] = Unreachable("it took longer than 30 s")
    summary = await site.run(concurrency=1)
    assert (summary.names, summary.errors) == (30, 3)
    assert site.watching.names_told == list(range(1, 31))
    summary = await site.run(given(NAMES[3:6:2]), concurrency=1)
    assert (summary.names, summary.errors) == (2, 2)


async def test_single_names_of_a_site_that_is_down() -> None:
    site = Site()
    site.registry.refused["tags"] = Unreachable("it took longer than 30 s")
    with pytest.raises(
        Unreachable, match=r"^it took longer than 30 s; so it went with 3 names in a row: the run ends$"
    ):
        await site.run(given(NAMES), concurrency=1)


async def test_a_store_that_is_away_for_a_moment_is_waited_for() -> None:
    site = Site(patience=60)
    site.store.faults = {NAMES[3]: [StoreUnavailable("gone")], "ping": [StoreUnavailable("still gone")]}
    summary = await site.run()
    assert (summary.names, summary.errors, summary.tags) == (30, 0, 60)


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        pytest.param({NAMES[3]: 1, "ping": 1}, StoreUnavailable, id="it stays away"),
        pytest.param({NAMES[3]: 3}, StoreUnavailable, id="it fails for one name again and again"),
        pytest.param({NAMES[3]: 1}, StoreRefused, id="it refuses us"),
    ],
)
async def test_a_store_that_stays_away_ends_the_run(faults: dict[str, int], error: type[StoreUnavailable]) -> None:
    site = Site()
    site.store.faults = {what: [error("gone")] * times for what, times in faults.items()}
    with pytest.raises(error):
        await site.run(concurrency=1)
    head = await running(site.store)
    assert head is not None
    assert head.done == 3
