"""A store on a Redis Cluster: redirections are followed, masters lost and found again, answers always a master's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest
from redis.crc import key_slot

from extproc import settings
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreRefused, StoreUnavailable
from extproc.oci.reference import Name
from tests.evidence.subject import D1, D2, MEDIA, NAME, TAG
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster, identity
from tests.support.redis_kinds import redis_store
from tests.support.redis_server import RedisServer, wait

BUDGET = 0.25
NAMES = [Name(f"group/n{number}") for number in range(30)]
"""In slots of all masters."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One that tests may harm, and leave whole."""
    with RedisCluster(tmp_path_factory.mktemp("own-cluster")) as running:
        yield running


@pytest.fixture
async def store(cluster: RedisCluster, prefix: str) -> AsyncIterator[RedisStore]:
    store = redis_store(cluster, prefix=prefix, settling=0.1)
    yield store
    await store.close()


def guarded(store: RedisStore) -> GuardedStore:
    return GuardedStore(store, budget=BUDGET, breaker=Breaker(failures=10_000, pause=0.001))


async def lease(store: RedisStore | GuardedStore, name: Name = NAME) -> None:
    snapshot = (await store.decide(name, TAG)).snapshot
    assert await store.learn(name, snapshot, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))


async def until_answered(store: RedisStore | GuardedStore, names: list[Name]) -> float:
    """Seconds until all of the names are decided on again, in one round."""
    begun = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreUnavailable):
                for name in names:
                    await store.decide(name, TAG)
                return time.monotonic() - begun
            await asyncio.sleep(0.01)


# Masters lost


async def test_a_master_killed_its_replica_takes_over(
    cluster: RedisCluster, store: RedisStore, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    using = guarded(store)
    for name in NAMES:
        await lease(using, name)
    lost = cluster.master_of(f"{prefix}:{{{NAME}}}")
    # Until a master has its replica's acknowledgement, a kill may lose what it acknowledged itself.
    cluster.wait_replicated()
    lost.kill()
    try:
        with pytest.raises(StoreUnavailable):
            await using.decide(NAME, TAG)
        with pytest.raises(StoreUnavailable):
            await using.ping()
        seconds = await until_answered(using, [*NAMES, NAME])
        assert all([(await using.decide(name, TAG)).lease is not None for name in NAMES])
        await using.ping()
    finally:
        lost.start()
        cluster.wait_whole()
    with capsys.disabled():
        print(f"\ncluster: a master killed, all names decided on again after {seconds:.1f} s")


async def test_a_master_stopped_its_replica_takes_over_and_it_is_not_believed_when_it_continues(
    cluster: RedisCluster, store: RedisStore, prefix: str
) -> None:
    using = guarded(store)
    await lease(using)
    lost = cluster.master_of(f"{prefix}:{{{NAME}}}")
    cluster.wait_replicated()
    lost.pause()
    try:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no answer within"):
            await using.decide(NAME, TAG)
        assert time.monotonic() - begun < BUDGET + 0.5
        await until_answered(using, [NAME])
        await using.primary_changed(NAME, Invalidation(tag=TAG, tombstone=D1))
    finally:
        lost.resume()
    async with asyncio.timeout(30):
        while b"slave" not in lost.command("ROLE"):
            evidence = await using.decide(NAME, TAG)
            assert evidence.lease is None
    assert (await using.decide(NAME, D1)).digest is DigestState.DELETED
    cluster.wait_whole()


async def test_after_a_failover_decisions_wait_until_all_writes_are_told(cluster: RedisCluster, prefix: str) -> None:
    """Another worker may hold writes that it could not tell the old master."""
    store = redis_store(cluster, prefix=prefix, settling=0.5)
    await lease(store)
    old = cluster.master_of(f"{prefix}:{{{NAME}}}")
    replica = replica_of(cluster, old)
    replica.ok("CLUSTER", "FAILOVER")
    wait("taken over", lambda: b"master" in replica.command("ROLE"))
    async with asyncio.timeout(30):
        # Without an outage that anybody could have seen: MOVED tells.
        while "a master has changed" not in await refusal(store):
            pass
    begun = time.monotonic()
    await store.primary_changed(NAME, Invalidation(tag=TAG))
    await until_answered(store, [NAME])
    assert time.monotonic() - begun > 0.5
    assert (await store.decide(NAME, TAG)).lease is None
    await store.close()
    cluster.wait_whole()


async def refusal(store: RedisStore) -> str:
    """Why it does not decide; empty when it does."""
    try:
        await store.decide(NAME, TAG)
    except StoreUnavailable as error:
        return str(error)
    return ""


def replica_of(cluster: RedisCluster, master: RedisServer) -> RedisServer:
    port = b"\r\n:%d\r\n" % master.port
    return next(n for n in cluster.nodes if b"slave" in n.command("ROLE") and port in n.command("ROLE"))


async def test_a_server_that_long_did_not_answer_is_not_believed_at_once(cluster: RedisCluster, prefix: str) -> None:
    """It was away for some workers, others may not have told it of their writes; no failover shows it."""
    where = settings.Store(url=cluster.url, prefix=prefix, breaker_failures=3)
    store = connect(where, absent_ttl=60.0, settling=0.1)
    await lease(store)
    silent = cluster.master_of(f"{prefix}:{{{NAME}}}")
    silent.pause()
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await store.decide(NAME, TAG)
    finally:
        silent.resume()
    with pytest.raises(StoreUnavailable, match="a master has changed, or was away"):
        await store.decide(NAME, TAG)
    await until_answered(store, [NAME])
    await store.close()
    cluster.wait_whole()


# Slots on the move


async def test_a_slot_that_moves_is_followed(cluster: RedisCluster, store: RedisStore, prefix: str) -> None:
    # Alone in its slot, which no other test uses: a slot that has keys cannot be given away.
    name = Name("group/moving")
    await lease(store, name)
    key = f"{prefix}:{{{name}}}"
    slot = str(key_slot(key.encode()))
    source = cluster.master_of(key)
    target = next(n for n in cluster.nodes if b"master" in n.command("ROLE") and n is not source)
    source_id, target_id = identity(source), identity(target)
    target.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    try:
        assert (await store.decide(name, TAG)).lease is not None
        # Not half of it: the name would lose what was deleted under it.
        await store.primary_changed(name, Invalidation(tombstone=D2))
        with pytest.raises(StoreUnavailable, match="non local key"):
            await store.primary_dropped(name)
        assert (await store.decide(name, D2)).digest is DigestState.DELETED
        source.ok("MIGRATE", "127.0.0.1", str(target.port), key, "0", "5000")
        # ASK, and the script runs there.
        assert (await store.decide(name, TAG)).lease is not None
        await store.primary_changed(name, Invalidation(tag=TAG))
        assert (await store.decide(name, TAG)).lease is None
        await lease(store, name)
        # MOVED, once; then the map is asked anew.
        target.ok("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        source.ok("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        assert (await store.decide(name, TAG)).lease is not None
        assert source.command("EXISTS", key).startswith(b"-MOVED")
    finally:
        # Back, for the next test.
        target.ok("CLUSTER", "SETSLOT", slot, "MIGRATING", source_id)
        source.ok("CLUSTER", "SETSLOT", slot, "IMPORTING", target_id)
        target.ok("MIGRATE", "127.0.0.1", str(source.port), key, "0", "5000")
        source.ok("CLUSTER", "SETSLOT", slot, "NODE", source_id)
        target.ok("CLUSTER", "SETSLOT", slot, "NODE", source_id)
        cluster.wait_whole()
    assert (await store.decide(name, TAG)).lease is not None


# Finding the masters


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(lambda c: [free_port(), c.nodes[0].port], id="the first is nobody"),
        pytest.param(lambda c: [c.nodes[5].port], id="a replica"),
    ],
)
async def test_any_server_of_it_shows_the_others(
    cluster: RedisCluster, prefix: str, seeds: Callable[[RedisCluster], list[int]]
) -> None:
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in seeds(cluster))
    store = connect(settings.Store(url=url, prefix=prefix), absent_ttl=60.0)
    for name in NAMES:
        await lease(store, name)
    assert {name async for name in store.names()} == set(NAMES)
    await store.close()


async def test_nobody_there(prefix: str) -> None:
    url = f"redis+cluster://user:hunter2@127.0.0.1:{free_port()}"
    store = connect(settings.Store(url=url), absent_ttl=60.0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"redis\+cluster://127.0.0.1:.*Connect") as refusal:
            await store.decide(NAME, TAG)
        assert "hunter2" not in str(refusal.value)
    await store.close()


async def test_not_a_cluster(own_redis: RedisServer) -> None:
    own_redis.kill()
    own_redis.port = free_port()
    own_redis.start()
    store = connect(settings.Store(url=f"redis+cluster://127.0.0.1:{own_redis.port}"), absent_ttl=60.0)
    with pytest.raises(StoreUnavailable, match="cluster support disabled"):
        await store.ping()
    await store.close()


async def test_a_wrong_password_is_told_from_being_away(cluster: RedisCluster) -> None:
    url = cluster.url.replace("//", "//nobody:wrong@")
    store = connect(settings.Store(url=url), absent_ttl=60.0)
    with pytest.raises(StoreRefused):
        await store.ping()
    await store.close()


async def test_the_map_is_asked_to_the_end_when_the_request_that_needed_it_has_given_up(
    cluster: RedisCluster, prefix: str
) -> None:
    store = redis_store(cluster, prefix=prefix)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await store.decide(NAME, TAG)
    await lease(store)
    await store.close()


async def test_closing_while_the_map_is_asked(cluster: RedisCluster, prefix: str) -> None:
    store = redis_store(cluster, prefix=prefix)
    asking = asyncio.create_task(store.decide(NAME, TAG))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises((StoreUnavailable, asyncio.CancelledError)):
        await asking
    with pytest.raises(StoreUnavailable):
        await store.decide(NAME, TAG)
