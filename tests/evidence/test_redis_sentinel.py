"""A store under Sentinel: the master lost and found again, answers always the present master's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from extproc import settings
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import Invalidation, Observation
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreRefused, StoreUnavailable, StoreUnusable
from tests.evidence.subject import D1, MEDIA, NAME, TAG
from tests.support.ports import free_port
from tests.support.redis_kinds import redis_store
from tests.support.redis_sentinel import MASTER, RedisSentinel
from tests.support.redis_server import RedisServer

BUDGET = 0.25


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Some that tests may harm, and leave with a master."""
    with RedisSentinel(tmp_path_factory.mktemp("own-sentinel")) as running:
        yield running


@pytest.fixture
async def store(watched: RedisSentinel, prefix: str) -> AsyncIterator[RedisStore]:
    store = redis_store(watched, prefix=prefix, settling=0.1)
    yield store
    await store.close()


def guarded(store: RedisStore) -> GuardedStore:
    return GuardedStore(store, budget=BUDGET, breaker=Breaker(failures=10_000, pause=0.001))


async def lease(store: RedisStore | GuardedStore) -> None:
    snapshot = (await store.decide(NAME, TAG)).snapshot
    assert await store.learn(NAME, snapshot, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))


async def until_answered(store: RedisStore | GuardedStore) -> float:
    """Seconds until it decides again."""
    begun = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreUnavailable):
                await store.decide(NAME, TAG)
                return time.monotonic() - begun
            await asyncio.sleep(0.01)


# Masters lost


async def test_a_master_replaced_by_hand_is_left(watched: RedisSentinel, store: RedisStore, prefix: str) -> None:
    """It lives on, as a master at first, then as a replica: either would answer from the past."""
    await lease(store)
    old = watched.master()
    watched.sentinels[0].ok("SENTINEL", "FAILOVER", MASTER)
    with pytest.raises(StoreUnavailable):
        async with asyncio.timeout(30):
            while True:
                await store.decide(NAME, TAG)
    new = watched.wait_replaced(old)
    await until_answered(store)
    assert (await store.decide(NAME, TAG)).lease is not None
    await store.primary_changed(NAME, Invalidation(tag=TAG))
    assert new.command("HEXISTS", f"{prefix}:{{{NAME}}}", "t:v1") == b":0\r\n"


async def test_a_master_killed_a_replica_takes_over(
    watched: RedisSentinel, store: RedisStore, capsys: pytest.CaptureFixture[str]
) -> None:
    using = guarded(store)
    await lease(using)
    lost = watched.master()
    watched.wait_replicated()
    lost.kill()
    with pytest.raises(StoreUnavailable):
        await using.decide(NAME, TAG)
    seconds = await until_answered(using)
    with capsys.disabled():
        print(f"\nSentinel: the master killed, decided on again after {seconds:.1f} s")
    # As an empty master, until the Sentinels make it a replica: nobody asks it.
    lost.start()
    await lease(using)
    for _ in range(50):
        assert (await using.decide(NAME, TAG)).lease is not None
        await asyncio.sleep(0.01)


async def test_a_master_cut_off_and_back_is_left_though_it_answers(
    watched: RedisSentinel, store: RedisStore, prefix: str
) -> None:
    """A worker that asked nothing meanwhile still has its connection."""
    await lease(store)
    old = watched.master()
    old.pause()
    try:
        new = watched.wait_replaced(old)
    finally:
        old.resume()
    async with asyncio.timeout(5):
        with suppress(StoreUnavailable):
            while True:
                await store.decide(NAME, TAG)
    await until_answered(store)
    await store.note("who", "the new one")
    assert b"the new one" in new.command("GET", f"{prefix}:note:who")


async def test_without_sentinels_the_master_known_is_used(watched: RedisSentinel, store: RedisStore) -> None:
    await lease(store)
    for sentinel in watched.sentinels:
        sentinel.pause()
    try:
        begun = time.monotonic()
        while time.monotonic() < begun + 1.5:
            await guarded(store).decide(NAME, TAG)
    finally:
        for sentinel in watched.sentinels:
            sentinel.resume()


# Finding the master


async def test_one_sentinel_of_many_is_enough(watched: RedisSentinel, prefix: str) -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{watched.sentinels[2].port}/{MASTER}/0"
    store = connect(settings.Store(url=url, prefix=prefix), absent_ttl=60.0)
    await lease(store)
    await store.close()


async def test_an_unknown_master_is_named(watched: RedisSentinel) -> None:
    store = connect(settings.Store(url=watched.url + "x"), absent_ttl=60.0)
    with pytest.raises(StoreUnusable, match=rf"/{MASTER}x: sentinel 127.0.0.1:.*No such master"):
        await store.ping()
    await store.close()


async def test_nobody_there() -> None:
    url = f"redis+sentinel://user:hunter2@127.0.0.1:{free_port()}/{MASTER}"
    store = connect(settings.Store(url=url), absent_ttl=60.0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"sentinel 127.0.0.1:.*Connect") as refusal:
            await store.decide(NAME, TAG)
        assert "hunter2" not in str(refusal.value)
    await store.close()


async def test_not_a_sentinel(own_redis: RedisServer) -> None:
    own_redis.kill()
    own_redis.port = free_port()
    own_redis.start()
    url = f"redis+sentinel://127.0.0.1:{own_redis.port}/{MASTER}"
    store = connect(settings.Store(url=url), absent_ttl=60.0)
    with pytest.raises(StoreUnavailable, match="unknown command"):
        await store.ping()
    await store.close()


async def test_a_password_for_the_sentinels_and_another_for_the_servers(tmp_path: Path) -> None:
    (tmp_path / "sentinel").write_text("for-sentinels\n")
    (tmp_path / "server").write_text("for-servers\n")
    (tmp_path / "wrong").write_text("wrong\n")
    secrets = {"password": "for-servers", "sentinel_password": "for-sentinels"}
    with RedisSentinel(tmp_path / "secured", **secrets) as watched:
        files = {"password_file": tmp_path / "server", "sentinel_password_file": tmp_path / "sentinel"}
        given = {"url": watched.url, **files}
        store = connect(settings.Store.model_validate(given), absent_ttl=60.0)
        await lease(store)
        await store.close()
        for key in files:
            wrong = settings.Store.model_validate(given | {key: tmp_path / "wrong"})
            store = connect(wrong, absent_ttl=60.0)
            with pytest.raises(StoreRefused):
                await store.ping()
            await store.close()
        # The Sentinels' user of docs/operations.md.
        for sentinel in watched.sentinels:
            allowed = ("+sentinel|master", "+sentinel|get-master-addr-by-name")
            sentinel.ok("ACL", "SETUSER", "geo", "on", ">for-sentinels", "resetchannels", "-@all", *allowed)
        store = connect(settings.Store.model_validate(given | {"sentinel_username": "geo"}), absent_ttl=60.0)
        await lease(store)
        await store.close()
