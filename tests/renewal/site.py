"""A worker that renews: a store, in memory unless another is given, and a primary that is a table of tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Lease, Observation
from extproc.evidence.store import Store
from extproc.oci.reference import Digest, Name, Tag
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import Outcome, Renewal
from tests.support.clock import Clock
from tests.support.heads import INDEX
from tests.support.traced import Traced

NAME = Name("g/app")
TAG = Tag("latest")
KEY = (NAME, TAG)
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
STALE_AFTER = 60.0


@dataclass(frozen=True)
class Resolved:
    digest: Digest
    media_type: str = INDEX


async def nothing() -> None:
    """Nothing happens meanwhile."""


@dataclass
class Primary:
    """Answers from `tags`; what happens while it is asked is `meanwhile`."""

    tags: dict[tuple[Name, Tag], Resolved] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[Name, Tag]] = field(default_factory=list)
    meanwhile: Callable[[], object] = nothing

    async def resolve(self, name: Name, reference: Tag) -> Resolved | None:
        self.asked.append((name, reference))
        answer = self.tags.get((name, reference))
        await self.meanwhile()  # type: ignore[misc]
        if self.error is not None:
            raise self.error
        return answer


@dataclass
class Site:
    """One worker that renews, its store and its clock."""

    clock: Clock = field(default_factory=Clock)
    primary: Primary = field(default_factory=lambda: Primary({KEY: Resolved(D1)}))
    limit: int = 10
    stale_after: float = STALE_AFTER
    new_store: Callable[[Clock], Store] = lambda clock: MemoryStore(absent_ttl=5, clock=clock)
    blocked: set[Name] = field(default_factory=set)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    traced: Traced = field(default_factory=Traced)

    def __post_init__(self) -> None:
        self.store = self.new_store(self.clock)
        self.hot = HotTags(self.limit, idle=600)
        self.renewal = self.worker(self.hot)

    def worker(self, hot: HotTags, *, fraction: float = 0.65) -> Renewal:
        return Renewal(
            store=self.store,
            primary=self.primary,
            max_staleness=self.stale_after,
            hot=hot,
            rate=1e6,
            blocks=self.blocked.__contains__,
            count=lambda outcome: self.outcomes.update([outcome]),
            clock=self.clock,
            work=self.traced.work,
            draw=lambda low, high: min(max(fraction, low), high),
        )

    async def lease(self, tag: Tag = TAG) -> Lease | None:
        return (await self.store.decide(NAME, tag)).lease

    async def read(self, tag: Tag = TAG) -> Lease | None:
        """A reader comes; who finds no lease learns one, as the router does."""
        evidence = await self.store.decide(NAME, tag)
        self.renewal.tag_read(NAME, tag, evidence.lease)
        return evidence.lease

    async def learn(self, digest: Digest = D1, tag: Tag = TAG) -> None:
        snapshot = (await self.store.decide(NAME, tag)).snapshot
        assert await self.store.learn(NAME, snapshot, Observation(digest, tag=tag, media_type=INDEX))

    async def look_at_due(self) -> list[Outcome]:
        """What `run` does, now."""
        found = []
        while (key := self.hot.take(self.clock())) is not None:
            found.append(await self.renewal.look(*key))
        return found


async def warmed(**parts: object) -> Site:
    """A tag with a lease of age 0, and a reader who saw it."""
    site = Site(**parts)  # type: ignore[arg-type]
    await site.learn()
    await site.read()
    return site
