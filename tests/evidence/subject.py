"""A store under test, with a way to let its own time pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from extproc.evidence.guarded_asking import GuardedAsking
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Observation, Record
from extproc.evidence.redis import RedisStore
from extproc.evidence.store import Asking, Store
from extproc.oci.reference import Digest, Name, Tag
from tests.support.redis_kinds import Where, redis_store

NAME = Name("group/app")
OTHER = Name("group/other")
TAG = Tag("v1")
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
D3 = Digest("sha512:" + "3" * 128)
MEDIA = "application/vnd.oci.image.index.v1+json"
SHORT = 0.03
"""Seconds that a test lets pass; every other period of a test is far longer."""
BUDGET = 0.25
"""Seconds; generous, for a busy machine must not fail a test. What matters is that it is not seconds."""
_CLOCK = Name("a/clock")
"""Asked for what time it is."""


@dataclass
class Clock:
    """Seconds that pass only when told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Subject:
    store: Store
    advance: Callable[[float], Awaitable[None]]
    """At least so many seconds of the store's clock pass."""

    async def state(self, digest: Digest, name: Name = NAME) -> DigestState:
        return (await self.store.decide(name, digest)).digest

    async def tag(self, tag: Tag = TAG, name: Name = NAME) -> Evidence:
        return await self.store.decide(name, tag)

    async def epoch(self, name: Name = NAME) -> bytes:
        return (await self.tag(name=name)).snapshot.epoch

    async def learn(self, *seen: Observation, name: Name = NAME) -> bool:
        """What exchanges showed that all began now."""
        return await self.store.learn_all(name, (await self.tag(name=name)).snapshot, seen)

    async def lease(self, tag: Tag = TAG, digest: Digest = D1, name: Name = NAME) -> None:
        assert await self.learn(Observation(digest, tag=tag, media_type=MEDIA, primary_has=True), name=name)

    async def served(self, digest: Digest, by: DigestState, *, primary: bool = False) -> None:
        """A digest read, and what the secondary (and the primary) did with it."""
        assert await self.learn(Observation(digest, secondary=by, primary_has=primary))

    async def record(self, name: Name = NAME) -> Record:
        return await self.store.inspect(name)

    async def names(self) -> list[Name]:
        return [name async for name in self.store.names() if name != _CLOCK]


NewSubject = Callable[..., Subject]


def in_memory(*, absent_ttl: float = 60.0, name_ttl: float = 1000.0) -> Subject:
    clock = Clock()

    async def advance(seconds: float) -> None:
        clock.now += seconds

    return Subject(MemoryStore(absent_ttl, clock, name_ttl=name_ttl), advance)


def in_redis(where: Where, *, prefix: str, absent_ttl: float = 60.0, name_ttl: float = 1000.0) -> Subject:
    store = redis_store(where, prefix=prefix, absent_ttl=absent_ttl, name_ttl=name_ttl)

    async def advance(seconds: float) -> None:
        # Redis has no clock to turn: let it pass, by Redis's own TIME. Tests use milliseconds for it.
        begun = await _time(store)
        while await _time(store) <= begun + seconds * 1e6:
            pass

    return Subject(store, advance)


def without_a_task(subject: Subject) -> Subject:
    """The same in Redis, but `decide` asks as most requests do."""
    assert isinstance(subject.store, RedisStore)
    return Subject(cast("Store", _Asked(subject.store)), subject.advance)


class _Asked:
    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        return await asked(self._store.asking, name, reference)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._store, operation)


async def asked(asking: Asking | GuardedAsking | None, name: Name, reference: Tag | Digest) -> Evidence:
    """What `then` is told, which is told once. Raises it if it is an error."""
    assert asking is not None
    told: list[Evidence | Exception] = []
    came = asyncio.Event()

    def then(outcome: Evidence | Exception) -> None:
        told.append(outcome)
        came.set()

    asking.ask(name, reference, then)
    await came.wait()
    await asyncio.sleep(0)
    (outcome,) = told
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _time(store: RedisStore) -> int:
    return (await store.decide(_CLOCK, TAG)).snapshot.at


async def learn_lease(store: Store) -> None:
    """A tag read that the primary answered, of `TAG`."""
    snapshot = (await store.decide(NAME, TAG)).snapshot
    assert await store.learn(NAME, snapshot, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))
