"""Many events on many names, what must hold once they are acknowledged, and registries that send them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from extproc.evidence.model import DigestState, Observation
from extproc.evidence.store import Store
from extproc.notification.event import Site
from extproc.oci.reference import Digest, Name, Tag
from tests.notification.envelopes import MANIFEST, V1, envelope, event

SENDERS = 8
SECRET = "s3cret"
URL = "/notifications/"
TAGS = [Tag(f"v{number}") for number in range(50)]
TOLD = 30
"""Of the tags or digests of a name: the events name these, and leave the others alone."""


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

    @property
    def names(self) -> list[Name]:
        return [*self.tagged, *self.holding, *self.whole, *self.renamed]

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
    of: dict[Name, list[Sent]] = {name: [] for name in plan.names}
    for each in acknowledged:
        of[each.name].append(each)
    for name, sent in of.items():
        await _check(store, plan, name, sent)
    return len(of)


async def _check(store: Store, plan: Plan, name: Name, sent: list[Sent]) -> None:
    """AssertionError or KeyError when one of them had no effect."""
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


async def without_effect(store: Store, plan: Plan, sent: Iterable[Sent]) -> list[Sent]:
    """Those of them that the store does not have, or has no more."""
    found = []
    for each in sent:
        try:
            await _check(store, plan, each.name, [each])
        except (AssertionError, KeyError):
            found.append(each)
    return found


@dataclass
class Senders:
    """Send each envelope until it is acknowledged, as registries do; a refused one again after `back` is set."""

    plan: Plan
    session: aiohttp.ClientSession
    acknowledged: list[Sent] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    waiting: int = 0
    ended: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is set, envelopes are sent."""
    back: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        self.go.set()
        queue = iter(self.plan.envelopes)
        await asyncio.gather(*(self._send_all(queue) for _ in range(SENDERS)))

    async def _send_all(self, queue: Iterator[list[Sent]]) -> None:
        for sent in queue:
            await self.go.wait()
            body = envelope(*(each.document for each in sent))
            while not await self._acknowledged(sent[0].site, body):
                self.waiting += 1
                await self._tell()
                await self.back.wait()
                self.waiting -= 1
            self.acknowledged += sent
            await self._tell()
        self.ended += 1
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

    async def until_none_goes_on(self) -> None:
        """What is acknowledged by now was so before the store went away."""
        await self.until(lambda: self.waiting + self.ended == SENDERS)
        assert self.waiting > 0

    async def until(self, what: Callable[[], bool]) -> None:
        async with self.moved:
            await self.moved.wait_for(what)
