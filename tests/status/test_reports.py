"""Documents of real stores: what they hold, how they are asked, and what becomes of one that is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from extproc import settings
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation, Observation, Record
from extproc.evidence.redis import connect
from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.checkpoint import Checkpoint
from extproc.reconcile.summary import Counts
from extproc.status.reports import Reports
from tests.support.clock import Clock
from tests.support.heads import INDEX
from tests.support.ports import free_port
from tests.support.redis_kinds import KINDS, redis_store, running

D1, D2, D3 = (Digest(f"sha256:{digit * 64}") for digit in "123")
APP, LIB, OLD = Name("g/app"), Name("g/lib"), Name("g/old")
LATEST = Tag("latest")


def reports(store: Store, **changes: Any) -> Reports:
    known: dict[str, Any] = {"url": "redis://h", "max_staleness": 60.0}
    return Reports(store, **known | changes)


@pytest.fixture(params=["memory", *KINDS])
async def store(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(absent_ttl=60)
        return
    store = redis_store(running(request, request.param), prefix=prefix)
    yield store
    await store.close()


async def fill(store: Store) -> None:
    """One name with a lease that is here and one on its way, one with a write under way, one dropped."""
    snapshot = (await store.decide(APP, LATEST)).snapshot
    here = Observation(D1, tag=LATEST, media_type=INDEX, secondary=DigestState.PRESENT, primary_has=True)
    assert await store.learn(APP, snapshot, here)
    await store.primary_changed(APP, Invalidation(tag=Tag("new")), pushed=D2)
    await store.begin_write(LIB, "m", Invalidation(all_leases=True, tombstone=D3), 100)
    await store.primary_dropped(OLD)


async def test_a_site(store: Store) -> None:
    await fill(store)
    document = await reports(store).site()
    assert json.loads(json.dumps(document)) == json.loads(json.dumps(document, default=str))
    assert document["store"].pop("round_trip") < 5
    assert document["store"] == {"url": "redis://h", "available": True, "detail": ""}
    evidence = document["evidence"]
    assert 0 <= evidence.pop("oldest_lease") < 60
    assert 0 <= evidence.pop("longest_wait") < 60
    (most,) = evidence.pop("most_behind")
    assert (most["name"], most["behind"], most["awaited"]) == (APP, 1, 1)
    assert evidence == {
        "names": 3,
        "cut": False,
        "dropped_names": 1,
        "leases": 1,
        "fresh_leases": 1,
        "behind": 1,
        "present": 1,
        "absent": 0,
        "tombstones": 1,
        "marks": 1,
        "awaited": 1,
        "median_lag": None,
        "longest_lag": None,
    }
    assert document["reconcile"] == {"finished": None, "running": None}


async def test_a_lag_is_what_the_arrival_took(store: Store) -> None:
    await fill(store)
    (arrived,) = await store.secondary_has(APP, [D2])
    evidence = (await reports(store).site())["evidence"]
    assert (evidence["behind"], evidence["awaited"]) == (0, 0)
    assert evidence["median_lag"] == evidence["longest_lag"] == pytest.approx(arrived.lag)


async def test_a_name(store: Store) -> None:
    await fill(store)
    document = await reports(store).name(APP)
    assert (document["name"], document["held"], document["max_staleness"]) == (APP, True, 60.0)
    assert [(tag["tag"], tag["digest"], tag["here"], tag["fresh"]) for tag in document["tags"]] == [
        (LATEST, D1, "present", True)
    ]
    assert [each["digest"] for each in document["awaited"]] == [D2]
    assert document["figures"]["behind"] == 1
    assert 0 < (await reports(store).name(LIB))["marks"][0] <= 100
    assert not (await reports(store).name(Name("g/unknown")))["held"]


async def test_looking_changes_nothing(store: Store) -> None:
    await fill(store)
    await reports(store).name(Name("g/unknown"))
    await reports(store).site()
    assert sorted([name async for name in store.names()]) == [APP, LIB, OLD]


@pytest.mark.parametrize(
    ("names", "limit", "read", "cut"),
    [
        pytest.param(0, None, 0, False, id="no names"),
        pytest.param(20, None, 20, False, id="all"),
        pytest.param(20, 21, 20, False, id="more than there are"),
        pytest.param(20, 20, 20, False, id="just as many"),
        pytest.param(20, 19, 19, True, id="one less"),
        pytest.param(20, 1, 1, True, id="one"),
    ],
)
async def test_a_limit(store: Store, names: int, limit: int | None, read: int, cut: bool) -> None:
    for number in range(names):
        await store.primary_dropped(Name(f"g/n{number}"))
    evidence = (await reports(store).site(limit))["evidence"]
    assert (evidence["names"], evidence["cut"]) == (read, cut)


class Paged(MemoryStore):
    """Gives three names a page, and counts how many are read at once."""

    reading = most = 0

    async def pages(self) -> AsyncIterator[Sequence[Name]]:
        async for page in super().pages():
            yield ()
            for first in range(0, len(page), 30):
                yield page[first : first + 30]

    async def inspect(self, name: Name) -> Record:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0)
        self.reading -= 1
        return await super().inspect(name)


@pytest.mark.parametrize(("limit", "read", "cut"), [(None, 100, False), (60, 60, True), (61, 61, True)])
async def test_pages_and_how_many_at_once(limit: int | None, read: int, cut: bool) -> None:
    store = Paged(absent_ttl=1)
    for number in range(100):
        await store.primary_dropped(Name(f"g/n{number}"))
    evidence = (await reports(store).site(limit))["evidence"]
    assert (evidence["names"], evidence["cut"]) == (read, cut)
    assert store.most == 8


async def test_others_go_on_while_a_store_in_memory_is_read() -> None:
    store = MemoryStore(absent_ttl=1)
    for number in range(1000):
        await store.primary_dropped(Name(f"g/n{number}"))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await reports(store).site()
    task.cancel()
    assert turns >= 100


async def test_what_reconcile_noted(store: Store) -> None:
    clock = Clock(1_000.0)
    checkpoint = await Checkpoint.open(store, "catalog", "geo-extproc reconcile", clock())
    checkpoint.add(APP, Counts(names=1, tags=7, same=6, behind=1))
    await checkpoint.save()
    clock.advance(5)
    noted = (await reports(store, now=clock).site())["reconcile"]
    assert noted["running"] == {"source": "catalog", "by": "geo-extproc reconcile", "age": 5.0, "names": 1}
    assert noted["finished"] is None
    await checkpoint.finish(clock())
    clock.advance(60)
    noted = (await reports(store, now=clock).site())["reconcile"]
    assert noted["running"] is None
    finished = noted["finished"]
    assert (finished["age"], finished["tags"], finished["behind"], finished["source"]) == (60.0, 7, 1, "catalog")
    # A clock that is behind the one of the machine that ran it does not make it come from the future.
    assert (await reports(store, now=Clock(0.0)).site())["reconcile"]["finished"]["age"] == 0.0


async def test_notes_that_cannot_be_read_are_none(store: Store) -> None:
    await store.note("reconcile", "{")
    await store.note("reconcile-run", "[]")
    assert (await reports(store).site())["reconcile"] == {"finished": None, "running": None}


async def test_a_store_that_is_away() -> None:
    place = f"127.0.0.1:{free_port()}"
    store = connect(settings.Store(url=f"redis://user:hunter2@{place}/0"), absent_ttl=1)
    document = await reports(store, url=f"redis://{place}/0").site()
    assert (document["evidence"], document["reconcile"]) == (None, None)
    assert not document["store"]["available"]
    assert document["store"]["round_trip"] is None
    assert document["store"]["detail"]
    assert "hunter2" not in json.dumps(document)
    with pytest.raises(StoreUnavailable):
        await reports(store).name(APP)
    await store.close()


async def test_a_store_that_goes_away_in_the_middle() -> None:
    class Away(MemoryStore):
        async def inspect(self, name: Name) -> Record:
            raise StoreUnavailable("gone")

    store = Away(absent_ttl=1)
    await store.primary_dropped(APP)
    document = await reports(store).site()
    assert document["evidence"] is None
    detail = "the store is away: redis://h: gone; start it or correct the store table"
    assert document["store"] == {"url": "redis://h", "available": False, "round_trip": None, "detail": detail}


@pytest.mark.parametrize("method", ["ping", "inspect", "noted"])
async def test_a_store_that_does_not_answer(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.status.reports._BUDGET", 0.01)
    store = MemoryStore(absent_ttl=1)
    await store.primary_dropped(APP)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(store, method, never)
    document = await reports(store).site()
    assert document["evidence"] is None
    assert document["store"]["detail"].startswith("the store is away: redis://h: no answer within 0.01 s; ")
