"""Many events in any order, some repeated, Redis killed in the middle: what was acknowledged is there.

Real HTTP, a real Redis that keeps everything it acknowledges. `GEO_TEST_EVENTS=100000` is the long form.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from extproc import settings
from extproc.admin.notifications import NotificationEndpoint
from extproc.admin.server import AdminServer, Health
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.model import DigestState, Observation
from extproc.evidence.redis import connect
from extproc.evidence.store import Store
from extproc.notification.event import Action, Site
from extproc.notification.ingest import Ingest, Outcome
from extproc.notification.secret import Secret
from extproc.oci.reference import Digest, Name, Tag
from tests.notification.envelopes import MANIFEST, V1, envelope, event
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

EVENTS = int(os.environ.get("GEO_TEST_EVENTS", "3000"))
SENDERS = 8
TAGS = [Tag(f"v{number}") for number in range(50)]
TOLD = 30
"""Of the tags or digests of a name: the events name these, and leave the others alone."""
SECRET = "s3cret"
URL = "/notifications/"


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


DELETED, ARRIVED = range(TOLD), range(100, 120)
LATE = range(10)
"""Deleted on the primary, and told by the secondary to be there: before or after, in the order that chance gives."""


@dataclass(frozen=True)
class Sent:
    """One event, and what must hold of its name once it was acknowledged."""

    site: Site
    document: dict[str, Any]
    name: Name
    tag: Tag | None = None
    deleted: Digest | None = None
    present: Digest | None = None
    dropped: tuple[Name, ...] = ()


def of_tags(name: Name) -> Iterator[Sent]:
    for number, tag in enumerate(TAGS[:TOLD]):
        if number % 3:
            yield Sent(
                Site.PRIMARY, event("push", name, tag=tag, digest=digest(1), mediaType=MANIFEST), name, tag=tag
            )
        else:
            yield Sent(Site.PRIMARY, event("delete", name, tag=tag, digest=""), name, tag=tag)


def of_digests(name: Name) -> Iterator[Sent]:
    for each in map(digest, DELETED):
        yield Sent(Site.PRIMARY, event("delete", name, digest=each), name, deleted=each)
    for each in map(digest, [*LATE, *ARRIVED]):
        document = event("push", name, digest=each, mediaType=MANIFEST, references=None)
        yield Sent(Site.SECONDARY, document, name, present=each)


def of_whole(name: Name) -> Iterator[Sent]:
    yield Sent(Site.PRIMARY, event("delete", name), name, dropped=(name,))


def of_rename(former: Name) -> Iterator[Sent]:
    document = {"action": "rename", "target": {"rename": {"type": "name", "from": former, "to": f"{former}-new"}}}
    below = Name(f"{former}/below")
    yield Sent(Site.PRIMARY, document, former, dropped=(former, below, Name(f"{former}-new")))


@dataclass
class Plan:
    """All names, by what the events do to them, and the envelopes in the order in which they are sent."""

    tagged: list[Name]
    holding: list[Name]
    whole: list[Name]
    renamed: list[Name]
    envelopes: list[list[Sent]] = field(default_factory=list)
    events: int = 0

    @classmethod
    def make(cls, events: int, chance: random.Random) -> Plan:
        units = events // (TOLD + len(DELETED) + len(LATE) + len(ARRIVED) + 1)
        plan = cls(
            tagged=[Name(f"tags/{number}") for number in range(units)],
            holding=[Name(f"digests/{number}") for number in range(units)],
            whole=[Name(f"whole/{number}") for number in range(units)],
            renamed=[Name(f"group/p{number}") for number in range(3)],
        )
        parts: list[tuple[list[Name], Any]] = [
            (plan.tagged, of_tags),
            (plan.holding, of_digests),
            (plan.whole, of_whole),
            (plan.renamed, of_rename),
        ]
        sent = [each for names, make in parts for name in names for each in make(name)]
        sent += chance.sample(sent, len(sent) // 10)
        chance.shuffle(sent)
        plan.events = len(sent)
        # An envelope is of one site.
        for site in Site:
            rest = [each for each in sent if each.site is site]
            while rest:
                size = chance.randint(1, 100)
                plan.envelopes.append(rest[:size])
                del rest[:size]
        chance.shuffle(plan.envelopes)
        return plan

    async def prepare(self, store: Store) -> None:
        """Leases and presence for everything that the events make untrue, and for their neighbours."""
        leases = [Observation(digest(1), tag=tag, media_type=MANIFEST, primary_has=True) for tag in TAGS]
        there = [Observation(digest(number), secondary=DigestState.PRESENT) for number in DELETED]
        below = [Name(f"{name}/below") for name in self.renamed]
        for names, seen in (
            (self.tagged, leases),
            (self.holding, [*leases[:3], *there]),
            ([*self.whole, *self.renamed, *below], [*leases[:3], *there[:3]]),
        ):
            for first in range(0, len(names), 16):
                learned = await asyncio.gather(*(learn(store, name, seen) for name in names[first : first + 16]))
                assert all(learned)


async def learn(store: Store, name: Name, seen: list[Observation]) -> bool:
    """As exchanges that begin now would."""
    return await store.learn_all(name, (await store.decide(name, TAGS[0])).snapshot, seen)


async def check(store: Store, plan: Plan, acknowledged: Iterable[Sent]) -> int:
    """Every acknowledged event took effect, and nothing else is gone. Gives the number of names looked at."""
    of: dict[Name, list[Sent]] = {name: [] for name in (*plan.tagged, *plan.holding, *plan.whole, *plan.renamed)}
    for each in acknowledged:
        of[each.name].append(each)
    for name, sent in of.items():
        record = await store.inspect(name)
        tags = {each.tag for each in sent if each.tag}
        deleted = {each.deleted for each in sent if each.deleted}
        assert tags.isdisjoint(record.leases)
        assert {record.digests[one].state for one in deleted} <= {DigestState.DELETED}
        for each in sent:
            for dropped in each.dropped:
                gone = await store.inspect(dropped)
                assert (gone.dropped, gone.leases) == (True, {})
            if each.present and each.present not in map(digest, LATE):
                assert record.digests[each.present].state is DigestState.PRESENT
        if name in plan.tagged:
            assert set(TAGS[TOLD:]) <= set(record.leases)
        if deleted:
            assert record.leases == {}
    return len(of)


class Nobody:
    """Counts nothing, takes nothing."""

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None: ...
    def delayed(self, site: Site, seconds: float) -> None: ...
    def arrived(self, seconds: float) -> None: ...
    def refused(self, site: Site, status: int) -> None: ...
    async def take(self, method: str, path: str) -> None: ...

    async def unreadable(self) -> None:
        raise AssertionError("every request here can be read")


@dataclass
class Senders:
    """Send each envelope until it is acknowledged, as registries do; a refused one after `back` is set."""

    plan: Plan
    session: aiohttp.ClientSession
    acknowledged: list[Sent] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    waiting: int = 0
    back: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        queue = iter(self.plan.envelopes)
        await asyncio.gather(*(self._send_all(queue) for _ in range(SENDERS)))

    async def _send_all(self, queue: Iterator[list[Sent]]) -> None:
        for sent in queue:
            body = envelope(*(each.document for each in sent))
            while not await self._acknowledged(sent[0].site, body):
                self.waiting += 1
                await self._tell()
                await self.back.wait()
                self.waiting -= 1
            self.acknowledged += sent
            await self._tell()

    async def _acknowledged(self, site: Site, body: bytes) -> bool:
        headers = {"Authorization": SECRET, "Content-Type": V1}
        async with self.session.post(URL + site.value, data=body, headers=headers) as answer:
            self.statuses[answer.status] += 1
            assert answer.status in {200, 503}, await answer.text()
            return answer.status == 200

    async def _tell(self) -> None:
        async with self.moved:
            self.moved.notify_all()

    async def until(self, what: Any) -> None:
        async with self.moved:
            await self.moved.wait_for(what)


@asynccontextmanager
async def rig(redis: RedisServer) -> Any:
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


@pytest.mark.timeout(1800)
async def test_nothing_acknowledged_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan.make(EVENTS, random.Random(3))
    with RedisServer(tmp_path, persistent=True) as redis:
        async with rig(redis) as (store, session):
            await plan.prepare(store)
            senders = Senders(plan, session)
            started = time.monotonic()
            sending = asyncio.create_task(senders.run())
            await senders.until(lambda: len(senders.acknowledged) >= plan.events // 2)
            redis.kill()
            # All of them wait: what is acknowledged now was so before the kill.
            await senders.until(lambda: senders.waiting == SENDERS)
            killed_at = len(senders.acknowledged)
            redis.start()
            await check(store, plan, senders.acknowledged)
            senders.back.set()
            await sending
            took = time.monotonic() - started
            assert len(senders.acknowledged) == plan.events
            names = await check(store, plan, senders.acknowledged)
    with capsys.disabled():
        print(
            f"\n{plan.events} events in {len(plan.envelopes)} envelopes on {names} names, {took:.1f} s "
            f"({plan.events / took:.0f} a second), Redis killed after {killed_at}, answers {dict(senders.statuses)}"
        )
    assert plan.events // 2 <= killed_at < plan.events
    assert senders.statuses[503] >= SENDERS


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
        redis.kill()
        redis.start()
        async with rig(redis) as (store, _):
            with pytest.raises((AssertionError, KeyError)):
                await check(store, plan, acknowledged)
            with pytest.raises((AssertionError, KeyError)):
                await check(store, plan, [])
