"""When a run begins by itself, and that nothing it does ends serving. Time is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog.testing

from extproc.evidence.memory import MemoryStore
from extproc.evidence.store import StoreUnavailable
from extproc.reconcile.checkpoint import FINISHED, Head
from extproc.reconcile.claim import TTL, ClaimLost, ClaimTaken
from extproc.reconcile.schedule import Logged, Schedule, keep_reconciling
from extproc.reconcile.source import SourceInvalid
from extproc.reconcile.summary import Counts, Summary
from extproc.registry.error import RegistryError
from extproc.settings import Settings, Sites
from extproc.settings.auth import Auth
from extproc.settings.reconcile import Reconcile
from extproc.settings.sites import Site

PERIOD = 100.0
START = 1_000_000.0


class Enough(Exception):
    """The test has seen what it wanted."""


@dataclass
class World:
    """Sleeping makes time pass; each run takes some, and keeps its summary."""

    until: float
    takes: float = 10.0
    ready_after: float = 0.0
    now: float = START
    runs: list[float] = field(default_factory=list)
    """Seconds after the start at which runs began."""
    outcomes: list[Exception] = field(default_factory=list)
    store: MemoryStore = field(default_factory=lambda: MemoryStore(2.0))
    on_sleep: Callable[[], None] = lambda: None

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds
        if self.now - START >= self.until:
            raise Enough
        await asyncio.sleep(0)

    async def run(self) -> Summary:
        began = self.now
        self.runs.append(round(began - START))
        self.now += self.takes
        if self.outcomes:
            raise self.outcomes.pop(0)
        return await self.note(began)

    async def note(self, began: float) -> Summary:
        summary = Summary.of(Counts(names=1), source="catalog", by="", started=began, finished=began + self.takes)
        await self.store.note(FINISHED, summary.to_json())
        return summary

    async def play(self) -> list[float]:
        schedule = Schedule(
            self.store,
            self.run,
            period=PERIOD,
            ready=lambda: self.now - START >= self.ready_after,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        with pytest.raises(Enough):
            await schedule.keep()
        return self.runs


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


async def test_soon_after_the_start_and_then_each_period() -> None:
    first, *more = await World(until=350).play()
    assert 0 <= first <= 2
    assert more == [first + 100, first + 200, first + 300]


async def test_not_before_the_workers_serve() -> None:
    """Each worker's start makes the leases of before void."""
    (first,) = await World(until=60, ready_after=30).play()
    assert 30 <= first <= 33


async def test_a_run_longer_than_the_period_is_followed_at_once() -> None:
    first, second, third, *_ = await World(until=400, takes=120).play()
    assert (second, third) == (first + 120, first + 240)


async def test_a_run_of_before_the_start_does_not_count() -> None:
    world = World(until=50)
    await world.note(START - 10)
    (first,) = await world.play()
    assert first <= 2


async def test_a_run_that_another_began_counts() -> None:
    world = World(until=250)
    await world.note(START + 60)
    assert await world.play() == [160]


async def test_a_clock_far_ahead_delays_by_a_period_at_most() -> None:
    world = World(until=250)
    await world.note(START + 1e6)
    assert await world.play() == []
    world = World(until=10 * PERIOD)
    await world.note(START + PERIOD)
    assert len(await world.play()) == 8


async def test_while_another_runs_it_is_looked_for_again_soon() -> None:
    world = World(until=60, takes=0, outcomes=[ClaimTaken("taken"), ClaimTaken("taken")])
    first, *more = await world.play()
    assert more == [first + round(TTL), first + 2 * round(TTL)]


@pytest.mark.parametrize(
    "error",
    [
        ClaimLost("lost"),
        RegistryError("the catalog answered 500"),
        SourceInvalid("no such file"),
        StoreUnavailable("away"),
        ZeroDivisionError("a fault of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_fails_is_logged_and_tried_again(error: Exception, logged: list[MutableMapping[str, Any]]) -> None:
    world = World(until=99, takes=0, outcomes=[error])
    first, second = await world.play()
    assert second == first + 60
    assert logged[0]["log_level"] in {"warning", "error"}
    assert "reconcile failed" in logged[0]["event"]
    assert str(error) in str(logged[0]) or logged[0]["exc_info"]


async def test_a_store_that_is_away_ends_nothing() -> None:
    class Away(MemoryStore):
        async def noted(self, topic: str) -> str | None:
            raise StoreUnavailable("away")

    world = World(until=200, store=Away(2.0))
    assert await world.play() == []


async def test_one_line_at_the_end(logged: list[MutableMapping[str, Any]]) -> None:
    await World(until=50).play()
    (line,) = logged
    assert (line["event"], line["log_level"], line["names"], line["seconds"]) == ("reconcile finished", "info", 1, 10)


async def test_an_interrupted_run_that_gives_way_is_logged(logged: list[MutableMapping[str, Any]]) -> None:
    Logged().displaces(Head("catalog", "reconcile on host, pid 1", START, 1500))
    (line,) = logged
    assert (line["log_level"], line["names"], line["done"]) == ("warning", "catalog", 1500)
    assert (line["by"], "gives way" in line["event"]) == ("reconcile on host, pid 1", True)


async def test_without_a_period_nothing_runs() -> None:
    sites = Sites(primary=Site(url="http://127.0.0.1:1"), secondary=Site(url="http://127.0.0.1:2"))
    settings = Settings(auth=Auth(mode="passthrough"), sites=sites, reconcile=Reconcile(period=0))
    await asyncio.wait_for(keep_reconciling(settings, MemoryStore(2.0), lambda: True, lambda name: False), 5)
