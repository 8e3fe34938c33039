"""Many events in any order, some repeated, Redis killed in the middle: what was acknowledged is there.

Real HTTP, a real Redis of each kind. `GEO_TEST_EVENTS=100000` is the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from extproc import settings
from extproc.admin.notifications import NotificationEndpoint
from extproc.admin.server import AdminServer, Health
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.redis import connect
from extproc.evidence.store import Store, StoreUnavailable
from extproc.notification.event import Action, Site
from extproc.notification.ingest import Ingest, Outcome
from extproc.notification.secret import Secret
from tests.notification.many_events import LATE, SECRET, URL, Plan, Senders, check, digest, without_effect
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_kinds import Where
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import PERSISTENT, RedisServer

EVENTS = int(os.environ.get("GEO_TEST_EVENTS", "3000"))
BACK_WITHIN = 60.0


class Nobody:
    """Counts nothing, takes nothing."""

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None: ...
    def delayed(self, site: Site, seconds: float) -> None: ...
    def arrived(self, seconds: float) -> None: ...
    def refused(self, site: Site, status: int) -> None: ...
    async def take(self, method: str, path: str) -> None: ...

    async def unreadable(self) -> None:
        raise AssertionError("every request here can be read")


@asynccontextmanager
async def rig(redis: Where) -> AsyncIterator[tuple[Store, aiohttp.ClientSession]]:
    """The store, and a client of the endpoint in front of it."""
    store = connect(settings.Store(url=redis.url), absent_ttl=5)
    guarded = GuardedStore(store, budget=1.0, breaker=Breaker(failures=sys.maxsize, pause=0))
    nobody = Nobody()
    endpoint = NotificationEndpoint(
        Ingest(guarded, nobody), secret=Secret((SECRET.encode(),)), max_body=1 << 20, refusals=nobody
    )
    port = free_port()
    server = AdminServer(
        settings.Endpoint(host="127.0.0.1", port=port),
        lambda: Health(True, "ok", 1),
        nobody,
        {f"{URL}primary": endpoint.primary, f"{URL}secondary": endpoint.secondary},
    )
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield store, session
    finally:
        await server.stop()
        await store.close()


async def until_answered(store: Store, plan: Plan) -> None:
    """All names are, in one round. A connection that was kept is found dead only when it is used."""
    async with asyncio.timeout(BACK_WITHIN):
        while True:
            with suppress(StoreUnavailable):
                for name in plan.names:
                    await store.inspect(name)
                return
            await asyncio.sleep(0.01)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", [RedisServer, RedisCluster, RedisSentinel])
async def test_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: type[RedisServer | RedisCluster | RedisSentinel]
) -> None:
    """All masters killed, and started again with their append-only files.

    No replica takes over meanwhile, for then less is promised: that is the next test. So the promise is the same for
    every kind, and whole.
    """
    plan = Plan.make(EVENTS, random.Random(3))
    with kind(tmp_path / "redis", *PERSISTENT) as redis:
        async with rig(redis) as (store, session):
            await plan.prepare(store)
            senders = Senders(plan, session)
            started = time.monotonic()
            sending = asyncio.create_task(senders.run())
            await senders.until(lambda: len(senders.acknowledged) >= plan.events // 2)
            redis.kill()
            await senders.until_none_goes_on()
            killed_at = len(senders.acknowledged)
            await asyncio.to_thread(redis.start)
            await until_answered(store, plan)
            await check(store, plan, senders.acknowledged)
            senders.back.set()
            await sending
            took = time.monotonic() - started
            assert len(senders.acknowledged) == plan.events
            names = await check(store, plan, senders.acknowledged)
    with capsys.disabled():
        print(
            f"\n{kind.__name__}: {plan.events} events in {len(plan.envelopes)} envelopes on {names} names, "
            f"{took:.1f} s ({plan.events / took:.0f} a second), killed after {killed_at}, "
            f"answers {dict(senders.statuses)}"
        )
    assert plan.events // 2 <= killed_at < plan.events
    assert senders.statuses[503] > 0


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param(RedisCluster, (), id="cluster"),
        # As documented; a master of the cluster has one replica, so it could not go on without.
        pytest.param(RedisSentinel, ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"), id="sentinel"),
    ],
)
async def test_what_was_replicated_outlives_a_failover(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: type[RedisCluster | RedisSentinel],
    options: tuple[str, ...],
) -> None:
    """A master killed for good, a replica in its place.

    Replication is asynchronous: what a master acknowledged and no replica had yet is gone with it, and the
    registries, whom we answered 200, do not tell it again (docs/evidence.md, "failed over to a replica that lagged").
    So nothing is asked here of what was acknowledged in the last moment, between the look at the replicas and the
    kill: it is counted, and shown. Everything before and after has to be there.
    """
    plan = Plan.make(EVENTS, random.Random(3))
    with kind(tmp_path / "redis", *PERSISTENT, *options) as redis:
        async with rig(redis) as (store, session):
            await plan.prepare(store)
            senders = Senders(plan, session)
            sending = asyncio.create_task(senders.run())
            master = redis.master_of(f"geo:{{{plan.tagged[0]}}}")
            await senders.until(lambda: len(senders.acknowledged) >= plan.events // 2)
            # Of the rest, none is sent while the replicas are looked at, however long that takes.
            senders.go.clear()
            certain = len(senders.acknowledged)
            await asyncio.to_thread(redis.wait_replicated)
            senders.go.set()
            await senders.until(lambda: len(senders.acknowledged) > certain)
            master.kill()
            await senders.until_none_goes_on()
            killed_at = len(senders.acknowledged)
            # The killed one stays away, so that its names answer says that it was replaced.
            await until_answered(store, plan)
            await check(store, plan, senders.acknowledged[:certain])
            lost = await without_effect(store, plan, senders.acknowledged[certain:killed_at])
            senders.back.set()
            await sending
            assert len(senders.acknowledged) == plan.events
            await check(store, plan, [*senders.acknowledged[:certain], *senders.acknowledged[killed_at:]])
    with capsys.disabled():
        print(
            f"\n{kind.__name__}: {plan.events} events, a master killed after {killed_at}; "
            f"of the {killed_at - certain} that no replica was known to have, {len(lost)} are lost; "
            f"answers {dict(senders.statuses)}"
        )
    assert plan.events // 2 <= certain < killed_at < plan.events
    assert senders.statuses[503] > 0


async def test_the_check_finds_what_is_lost(tmp_path: Path) -> None:
    """The same without persistence: tombstones, leases and presence are gone, and that must show."""
    plan = Plan.make(91, random.Random(3))
    acknowledged = [each for sent in plan.envelopes for each in sent]
    with RedisServer(tmp_path) as redis:
        async with rig(redis) as (store, session):
            await plan.prepare(store)
            senders = Senders(plan, session)
            await senders.run()
            await check(store, plan, acknowledged)
            assert await without_effect(store, plan, acknowledged) == []
        redis.kill()
        redis.start()
        async with rig(redis) as (store, _):
            with pytest.raises((AssertionError, KeyError)):
                await check(store, plan, acknowledged)
            with pytest.raises((AssertionError, KeyError)):
                await check(store, plan, [])
            late = set(map(digest, LATE))
            asked_of = [each for each in acknowledged if each.present not in late]
            assert await without_effect(store, plan, acknowledged) == asked_of
