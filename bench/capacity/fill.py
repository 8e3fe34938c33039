"""A store that holds what a day leaves there, for every name; and what that takes in Redis.

How much of a name is known after some days follows from the workload: the tags that were read at least once, and the
digests of their images and of all pushes (the secondary tells of each, with notifications). It is written through the
store's own operations, `secondary_has` and `learn_all`, in three passes, so that each part's memory shows: the names
alone, their leases, their digests. Memory is `used_memory` of INFO. Of more than 20,000 names all are there, but only
some get their leases and digests, for all of them would take too long: the first thousand, and of the others one in
so many. What all of them would take is reckoned.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from bench.capacity.popularity import Zipf
from bench.capacity.repository import digest_of, name_of, tags_by_popularity
from bench.capacity.workload import DAY, Workload
from extproc.evidence.model import Observation
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
_AT_ONCE = 16
_WHOLE = 20_000
"""So many names are filled at most, or a few more."""
_HEAD = 1_000
"""The first ones are filled in any case: they are asked for most."""
_GOLDEN: Final = 0.618_033_988_749_895
"""Steps of it spread evenly over 0 to 1, so that rounding is fair without chance."""


@dataclass(frozen=True)
class Held:
    """How much is held of a name."""

    leases: int
    digests: int


class Evidence:
    """What `seconds` of the workload leave of each name."""

    def __init__(self, workload: Workload, seconds: float = DAY) -> None:
        self._workload = workload
        self._seconds = seconds
        self._pulls = Zipf(workload.names, workload.zipf)
        self._pushes = Zipf(workload.names, workload.push_zipf)
        tags = Zipf(workload.tags, workload.tag_zipf)
        self._tag_shares = [tags.share(rank) for rank in range(1, workload.tags + 1)]
        self.tags = tags_by_popularity(workload.tags)

    def of(self, rank: int) -> Held:
        """At least one lease."""
        workload = self._workload
        fair = rank * _GOLDEN % 1.0
        pulled = workload.pulls * self._pulls.share(rank) * self._seconds
        read = sum(-math.expm1(-pulled * share) for share in self._tag_shares)
        pushed = workload.pushes * (1 + workload.elsewhere) * self._pushes.share(rank) * self._seconds
        leases = max(math.floor(read + fair), 1)
        return Held(leases, workload.base_layers + workload.fresh_digests * (leases + math.floor(pushed + fair)))

    def total(self, ranks: Iterable[int] | None = None) -> Held:
        """Of all names, or of some."""
        held = [self.of(rank) for rank in ranks or range(1, self._workload.names + 1)]
        return Held(sum(each.leases for each in held), sum(each.digests for each in held))


def filled(names: int) -> list[int]:
    """The ranks that are filled."""
    return [rank for rank in range(1, names + 1) if rank == filled_for(rank, names)]


def filled_for(rank: int, names: int) -> int:
    """The rank that is filled, this one or one before it."""
    apart = max(names // _WHOLE, 1)
    return rank if rank <= _HEAD else rank - (rank - _HEAD - 1) % apart


@dataclass(frozen=True)
class Memory:
    """Bytes in use by Redis for a day's evidence."""

    names: int
    leases: int
    digests: int
    """Written, as are the leases."""
    with_names: int
    with_leases: int
    with_digests: int
    """After each pass: all of it."""
    seconds: float

    @property
    def per_name(self) -> float:
        """A name of which nothing is held but its epoch and generation."""
        return self.with_names / self.names

    @property
    def per_lease(self) -> float:
        """The first lease of a name makes its hash a table: that is in here."""
        return (self.with_leases - self.with_names) / self.leases

    @property
    def per_digest(self) -> float:
        return (self.with_digests - self.with_leases) / self.digests

    def of(self, names: int, held: Held) -> float:
        """Bytes for other numbers, by these."""
        return self.per_name * names + self.per_lease * held.leases + self.per_digest * held.digests


async def fill(store: RedisStore, client: Redis, workload: Workload, say: Callable[[str], None]) -> Memory:
    """Into a Redis that is empty."""
    evidence = Evidence(workload)
    names = workload.names

    async def know(rank: int) -> None:
        await store.decide(name_of(rank), evidence.tags[0])

    async def lease(rank: int) -> None:
        name = name_of(rank)
        snapshot = (await store.decide(name, evidence.tags[0])).snapshot
        seen = [
            Observation(manifest_of(rank, place), tag=tag, media_type=MEDIA_TYPE)
            for place, tag in enumerate(evidence.tags[: evidence.of(rank).leases])
        ]
        if not await store.learn_all(name, snapshot, seen):
            raise AssertionError(f"{name}: nobody else writes here, and yet its epoch changed")

    async def tell(rank: int) -> None:
        name = name_of(rank)
        held = evidence.of(rank)
        await store.secondary_has(name, [digest_of(name, number) for number in range(held.digests)])

    some = filled(names)
    # The scripts, the connections and the site's generation are no evidence.
    await know(1)
    await lease(1)
    await tell(1)
    await client.flushall()
    before = await _used(client)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    used = []
    for what, one, ranks in (
        ("names", know, range(1, names + 1)),
        ("leases", lease, some),
        ("digests", tell, some),
    ):
        await _each(ranks, one)
        used.append(await _used(client) - before)
        say(f"{names} names: {what} written, {used[-1] / 1e6:.0f} MB, {loop.time() - begun:.0f} s")
    total = evidence.total(some)
    return Memory(names, total.leases, total.digests, used[0], used[1], used[2], loop.time() - begun)


def manifest_of(rank: int, place: int) -> Digest:
    """The digest that the lease of a name's tag at this place (from 0) is of: one of those told as present."""
    return digest_of(name_of(rank), place)


async def _each(ranks: Iterable[int], one: Callable[[int], Awaitable[None]]) -> None:
    left = iter(ranks)

    async def some() -> None:
        for rank in left:
            await one(rank)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())


async def _used(client: Redis) -> int:
    return int((await client.info("memory"))["used_memory"])
