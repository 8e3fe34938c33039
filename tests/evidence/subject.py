"""A store under test, with a way to let its own time pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from extproc import settings
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from tests.support.redis_server import RedisServer

NAME = Name("group/app")
OTHER = Name("group/other")
TAG = Tag("v1")
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
D3 = Digest("sha512:" + "3" * 128)
MEDIA = "application/vnd.oci.image.index.v1+json"


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


def in_memory(*, absent_ttl: float = 60.0, name_ttl: float = 1000.0) -> Subject:
    clock = Clock()

    async def advance(seconds: float) -> None:
        clock.now += seconds

    return Subject(MemoryStore(absent_ttl, clock, name_ttl=name_ttl), advance)


def redis_store(server: RedisServer, *, absent_ttl: float = 60.0, name_ttl: float = 1000.0) -> RedisStore:
    return connect(settings.Store(url=server.url, name_ttl=name_ttl), absent_ttl=absent_ttl)


def in_redis(server: RedisServer, *, absent_ttl: float = 60.0, name_ttl: float = 1000.0) -> Subject:
    store = redis_store(server, absent_ttl=absent_ttl, name_ttl=name_ttl)

    async def advance(seconds: float) -> None:
        # Redis has no clock to turn: let it pass, by Redis's own TIME. Tests use milliseconds for it.
        begun = await _time(store)
        while await _time(store) <= begun + seconds * 1e6:
            pass

    return Subject(store, advance)


async def _time(store: RedisStore) -> int:
    return (await store.decide(Name("a/clock"), TAG)).snapshot.at
