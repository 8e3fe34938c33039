"""The simulation of a large site's day (bench/capacity/): its distributions, its sample, its books, and tiny runs."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bench.capacity import result as results
from bench.capacity.books import Books
from bench.capacity.clock import Clock, TimedReach
from bench.capacity.cost import Bench
from bench.capacity.day import Day, simulate
from bench.capacity.fill import Evidence, fill, filled, filled_for, manifest_of
from bench.capacity.lag import lag
from bench.capacity.popularity import MOST_NAMES, SHORTEST_WINDOW, Zipf, sample
from bench.capacity.repository import LATEST, Repository, digest_of, name_of
from bench.capacity.rig import redis_store, timed_redis
from bench.capacity.size import layer_size, mean_layer_size
from bench.capacity.sizing import sizing
from bench.capacity.traffic import reasons_of_reads
from bench.capacity.workload import DAY, Workload
from extproc.evidence import script
from extproc.evidence.model import DigestState, Observation
from extproc.routing.reason import Reason
from tests.support.redis_server import RedisServer

TINY = Workload(50, reads=30.0, writes=1.2)
BUDGET = 100


# The model's distributions


def test_requests_of_a_day_are_those_of_the_brief() -> None:
    workload = Workload(1000)
    push = workload.pushes * (workload.heads_of_a_push + workload.writes_of_a_push)
    assert workload.pulls * workload.reads_of_a_pull + push == pytest.approx(1560)
    assert 130e6 < 1560 * DAY < 140e6


def test_zipf_gives_the_first_of_two_twice_the_share_of_the_second() -> None:
    assert Zipf(2, 1.0).share(1) == pytest.approx(2 / 3)
    assert Zipf(4, 0.0).share(2, 3) == pytest.approx(0.5)
    assert Zipf(1000, 1.0).share(1, 1000) == pytest.approx(1.0)


def test_layers_are_as_small_as_published() -> None:
    chance = random.Random(1)
    sizes = [layer_size(chance) for _ in range(20_000)]
    assert sum(size < 1e6 for size in sizes) / len(sizes) == pytest.approx(0.65, abs=0.01)
    assert sum(size < 10e6 for size in sizes) / len(sizes) == pytest.approx(0.80, abs=0.01)
    assert statistics.mean(sizes) == pytest.approx(mean_layer_size(), rel=0.05)
    assert max(sizes) <= 200e6


def test_half_of_the_lags_are_below_the_median_and_few_above_five_minutes() -> None:
    chance = random.Random(1)
    lags = [lag(chance, Workload(1)) for _ in range(20_000)]
    assert statistics.median(lags) == pytest.approx(60, rel=0.05)
    assert sum(each > 300 for each in lags) / len(lags) == pytest.approx(0.054, abs=0.01)


# The sample


@pytest.mark.parametrize("names", [1, 2, 1000, 54_321])
def test_the_sample_stands_for_every_name_and_all_requests(names: int) -> None:
    workload = Workload(names)
    found = sample(workload, 500)
    assert [each.first for each in found] == [1, *(each.last + 1 for each in found[:-1])]
    assert found[-1].last == names
    days = [each.weight * each.window / DAY for each in found]
    assert sum(many * each.pulls for many, each in zip(days, found, strict=True)) == pytest.approx(workload.pulls)
    assert sum(many * each.pushes for many, each in zip(days, found, strict=True)) == pytest.approx(workload.pushes)
    assert all(SHORTEST_WINDOW <= each.window <= DAY for each in found)
    assert max(Counter(each.first.bit_length() for each in found).values()) <= MOST_NAMES


# One name


def test_a_push_moves_a_tag_and_arrives_at_the_secondary_later() -> None:
    repository = Repository(name_of(1), replace(Workload(1), latest=1.0), random.Random(1))
    before = repository.digest_of(LATEST)
    assert repository.secondary_has(before, 0.0)
    pushed = repository.push(100.0)
    assert repository.digest_of(LATEST) == pushed.image.manifest != before
    assert not repository.secondary_has(pushed.image.manifest, 100.0)
    assert repository.secondary_has(pushed.image.manifest, pushed.arrives)
    base = set(pushed.image.layers) - set(pushed.image.fresh)
    assert len(base) == 4
    assert all(repository.secondary_has(layer, 100.0) for layer in base)


def test_a_new_tag_takes_the_place_of_the_oldest() -> None:
    repository = Repository(name_of(1), replace(Workload(1), latest=0.0, tags=3), random.Random(1))
    tags = {repository.push(float(second)).tag for second in range(5)}
    assert len(tags) == 5
    asked = {repository.some_tag() for _ in range(500)}
    assert len(asked) == 3
    assert LATEST in asked


# The books


def test_books_count_each_read_once_and_weigh_them() -> None:
    own, all_ = Books(), Books()
    own.read(Reason.DIGEST_PRESENT, 10, local=True)
    own.read(Reason.TAG_STALE, 4, local=False)
    all_.add(own, 2.5)
    all_.add(own, 0.5)
    assert (all_.reads, all_.reads_local, all_.reads_primary) == (6, 3, 3)
    assert (all_.bytes_read, all_.bytes_local, all_.bytes_primary) == (42, 30, 12)
    assert all_.reasons == {"digest-present": 3, "tag-stale": 3}
    assert all_.at_primary == {"tag-stale": 3}
    assert Books.of_json(all_.as_json()) == all_


# A day


async def day(*, notifications: bool = True, url: str | None = None, workload: Workload = TINY) -> Day:
    return await simulate(workload, notifications=notifications, url=url, budget=BUDGET)


async def test_the_books_of_a_day_add_up() -> None:
    found = await simulate(TINY, notifications=True, budget=3000)
    books, workload = found.books, found.workload
    assert books.reads == pytest.approx(books.reads_local + books.reads_primary)
    assert sum(books.reasons.values()) == pytest.approx(books.reads)
    assert sum(books.at_primary.values()) == pytest.approx(books.reads_primary)
    assert books.bytes_read == pytest.approx(books.bytes_local + books.bytes_primary)
    assert books.reads == pytest.approx(workload.reads * DAY, rel=0.2)
    assert books.writes == pytest.approx(workload.writes * DAY, rel=0.4)
    exchanges = sum(count for kind, count in books.kinds.items() if kind != "notification")
    assert exchanges == pytest.approx(books.requests)
    assert set(books.reasons) <= set(reasons_of_reads())
    assert 0.5 < books.local_share < books.local_bytes_share < 1


async def test_the_same_seed_gives_the_same_day() -> None:
    assert (await day()).books == (await day()).books
    assert (await day()).books != (await day(workload=replace(TINY, seed=2))).books


async def test_notifications_keep_old_tags_from_being_served() -> None:
    told, untold = (await day()).books, (await day(notifications=False)).books
    assert told.stale < untold.stale
    assert untold.kinds["notification"] == 0 < told.kinds["notification"]


async def test_a_slower_replication_sends_more_to_the_primary() -> None:
    fast = await day(workload=replace(TINY, lag_median=1.0))
    slow = await day(workload=replace(TINY, lag_median=1000.0))
    assert fast.books.local_share > slow.books.local_share


async def test_redis_decides_as_memory_does(tmp_path: Path) -> None:
    # What is learned may differ by a little: Redis dates presence by whole seconds.
    with RedisServer(tmp_path / "redis") as server:
        workload = replace(TINY, names=4, reads=3.0, writes=0.2)
        there, here = await day(url=server.url, workload=workload), await day(workload=workload)
    assert there.books.reasons == here.books.reasons
    assert there.books.at_primary == here.books.at_primary


async def test_redis_is_told_the_time(tmp_path: Path) -> None:
    clock = Clock()
    name, digest = name_of(1), digest_of(name_of(1), 1)
    with RedisServer(tmp_path / "redis") as server:
        store = timed_redis(server.url, clock)
        snapshot = (await store.decide(name, LATEST)).snapshot
        assert snapshot.at == Clock.START * 1e6
        seen = Observation(digest, tag=LATEST, media_type="application/vnd.oci.image.index.v1+json")
        assert await store.learn(name, snapshot, seen)
        clock.now += 40.25
        lease = (await store.decide(name, LATEST)).lease
        assert lease is not None
        assert lease.age == pytest.approx(40.25)
        await store.close()


def test_every_script_that_asks_for_the_time_is_told_it() -> None:
    asking = [each for each in vars(script).values() if isinstance(each, script.Script) and "'TIME'" in each.text]
    assert len(asking) >= 8
    reach = TimedReach(None, Clock())  # type: ignore[arg-type]
    for each in asking:
        (by_sha, by_text) = reach._timed(each.call("key", ("argument",), by_sha=True))
        assert by_sha[1] != each.sha
        assert by_sha[2:] == by_text[2:] == (2, "key", "1800000000000000", "argument")
        assert "'TIME'" not in str(by_text[1])


# A filled store


async def test_a_filled_store_holds_what_is_said_and_its_costs_are_found(tmp_path: Path) -> None:
    workload = replace(TINY, names=20)
    with RedisServer(tmp_path / "redis") as server:
        store, client = redis_store(server.url), Redis.from_url(server.url)
        memory = await fill(store, client, workload, lambda _: None)
        evidence = Evidence(workload)
        for rank in (1, 20):
            record, held = await store.inspect(name_of(rank)), evidence.of(rank)
            assert {tag: lease.digest for tag, lease in record.leases.items()} == {
                tag: manifest_of(rank, place) for place, tag in enumerate(evidence.tags[: held.leases])
            }
            assert len(record.digests) == held.digests
            assert {known.state for known in record.digests.values()} == {DigestState.PRESENT}
        assert memory.of(20, evidence.total()) == pytest.approx(memory.with_digests)
        costs = await Bench(workload, store, client, exchanges=40, rounds=1, names=10).costs()
        await store.close()
        await client.aclose()
    assert costs["digest"].commands == {"evalsha": 1, "get": 1}
    assert costs["tag, learned"].commands == {"evalsha": 2, "get": 1}
    assert costs["no look-up"].commands == costs["token"].commands == {}
    books = (await day(workload=workload)).books
    assert set(books.kinds) | {"token"} == set(costs)
    sized = sizing(workload, books, costs, memory)
    assert sized.wan_without >= sized.wan_with
    assert sized.wan_saved == pytest.approx((sized.wan_without - sized.wan_with) * DAY / 8)
    assert sized.cores == pytest.approx(sized.cpu * 31.2)
    assert sized.memory_week > sized.memory_day > 0


def test_of_many_names_the_first_and_some_others_are_filled() -> None:
    assert filled(20) == list(range(1, 21))
    found = filled(100_000)
    assert found[:1002] == [*range(1, 1002), 1006]
    assert len(found) == 1000 + 99_000 / 5
    assert [filled_for(rank, 100_000) for rank in (7, 1001, 1005, 1006, 100_000)] == [7, 1001, 1001, 1006, 99_996]


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "build" / "capacity.json"
    assert results.read(file) == {}
    results.write(file, {"machine": results.machine()})
    assert results.read(file)["machine"]["cpus"] >= 1
