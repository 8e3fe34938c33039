"""Renews leases before they are too old, and those that were dropped.

Rules
1. A renewal is an exchange like a reader's: `decide` first, then the primary is asked, then `learn` under that
   snapshot. The lease is dated from before the question (P4), and nothing is learned under a mark.
2. The store is asked before the primary: where another worker has renewed the lease, there is nothing to do.
3. Nothing is learned of a name while this process keeps an invalidation of it that the store has not taken.
4. Bounded: so many tags, so many looks at once, so many questions a second. A primary or an issuer that fails is left
   alone for ever longer; readers go on as if there were no renewal.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Final, Protocol

import structlog
from aiolimiter import AsyncLimiter
from opentelemetry.trace import SpanContext

from extproc.evidence.model import Evidence, Lease, Observation, Snapshot
from extproc.evidence.store import StoreUnavailable
from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type
from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.error import RegistryError
from extproc.renewal.hot_tags import HotTags, Key
from extproc.renewal.patience import Patience
from extproc.telemetry import names
from extproc.telemetry.seldom import Seldom
from extproc.telemetry.work import Work, cause

log = structlog.get_logger()

_AT_ONCE: Final = 4
"""Looks under way, at most."""
_EARLIEST: Final = 0.6
_LATEST: Final = 0.7
"""Of max_staleness: a lease is renewed at an age drawn between the two, so that of N workers one is the first, and
the others find its lease when their turn comes."""
_SETTLE: Final = 1.0
"""Seconds that a read without a lease gets to teach by itself, a tenth of max_staleness at most."""
_LONGEST_PAUSE: Final = 60.0
"""Seconds, for a tag whose look came to nothing again and again."""
_REFUSED: Final = frozenset({401, 403})
_MOST_READERS: Final = 1000
"""Traced exchanges that are remembered."""
ANSWER_WITHIN: Final = 10.0
"""Seconds for a token and an answer of the primary."""


class Outcome(Enum):
    """How a look at a tag ended."""

    RENEWED = "renewed"
    CURRENT = "current"
    """The lease is young enough: another worker, or a reader, was first."""
    SUPERSEDED = "superseded"
    """A write is or was under way, or just told: what the primary answered was not learned."""
    GONE = "gone"
    """The primary has no such tag, or answers what no lease may carry."""
    FAILED = "failed"
    """The primary or the issuer did not answer, or refused the service account."""
    STORE_AWAY = "store-away"


class Resolved(Protocol):
    """The primary's answer for a tag."""

    @property
    def digest(self) -> Digest: ...
    @property
    def media_type(self) -> str: ...


class Primary(Protocol):
    """The primary, asked with the service account."""

    async def resolve(self, name: Name, reference: Tag) -> Resolved | None:
        """None for 404. The request accepts every type that a lease may carry. Raises RegistryError."""


class Leases(Protocol):
    """The part of a store that renewal needs. Both raise StoreUnavailable."""

    async def decide(self, name: Name, reference: Tag) -> Evidence: ...
    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool: ...


def _uncounted(outcome: Outcome) -> None:
    pass


class Renewal:
    """Hears which tags are read and which leases were dropped; `run` renews."""

    def __init__(
        self,
        *,
        store: Leases,
        primary: Primary,
        max_staleness: float,
        hot: HotTags,
        rate: float,
        blocks: Callable[[Name], bool],
        count: Callable[[Outcome], None] = _uncounted,
        work: Work | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
        seldom: Seldom | None = None,
    ) -> None:
        """`rate`: questions to the primary a second. `blocks`: rule 3. `count` is called once for each look; `work`:
        for spans of them."""
        self._store = store
        self._primary = primary
        self._max_staleness = max_staleness
        self._hot = hot
        self._limiter = AsyncLimiter(1, 1 / rate)
        self._blocks = blocks
        self._count = count
        self._work = work or Work.untraced()
        self._readers: dict[Key, SpanContext] = {}
        """The traced exchange that read a tag last."""
        self._clock = clock
        self._draw = draw
        self._settle = min(_SETTLE, max_staleness / 10)
        self._wake = asyncio.Event()
        self._waiting_for = math.inf
        """When `run` wakes by itself."""
        self._patience = Patience()
        self._seldom = seldom or Seldom()

    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        """A reader with a valid token asked for it; `lease` is what the store gave."""
        now = self._clock()
        leased = lease is not None and lease.age <= self._max_staleness
        due = now + self._settle if lease is None or not leased else self._due(now, lease.age)
        self._hot.read((name, tag), now, due, leased=leased)
        reader = cause()
        if reader is not None and len(self._readers) < _MOST_READERS:
            self._readers[name, tag] = reader
        self._wake_up()

    def tag_written(self, name: Name, tag: Tag) -> None:
        """A write through this process has ended, and dropped its lease."""
        self._hot.want((name, tag), self._clock())
        self._wake_up()

    def on_lease_dropped(self, name: Name, tag: Tag) -> None:
        """The primary told of a change, and a lease that held was dropped: somebody reads it, in some process."""
        self._hot.want((name, tag), self._clock(), unread=True)
        self._wake_up()

    async def run(self) -> None:
        """Until cancelled."""
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as looks:
            while True:
                await slots.acquire()
                name, tag = await self._next()
                looks.create_task(self._in_slot(name, tag)).add_done_callback(lambda _: slots.release())

    async def look(self, name: Name, tag: Tag) -> Outcome:
        """Renew its lease if it is due, and plan the next look."""
        key = (name, tag)
        reader = self._readers.pop(key, None)
        with self._work.span(names.RENEWAL_SPAN, {names.REPOSITORY: name}, cause=reader) as span:
            outcome = await self._look(key)
            span.set_attribute(names.OUTCOME, outcome.value)
        return outcome

    async def _look(self, key: Key) -> Outcome:
        name, tag = key
        asked_at = self._clock()
        try:
            outcome, age = await self._renew(name, tag)
        except StoreUnavailable:
            outcome, age = Outcome.STORE_AWAY, 0.0
        except RegistryError as error:
            outcome, age = Outcome.FAILED, 0.0
            self._patience.failed(name, str(error), self._clock(), refused=error.status in _REFUSED)
        except TimeoutError:
            outcome, age = Outcome.FAILED, 0.0
            detail = f"no answer within {ANSWER_WITHIN:g} s"
            self._patience.failed(name, detail, self._clock(), refused=False)
        if outcome in {Outcome.RENEWED, Outcome.CURRENT}:
            self._hot.done(key, self._due(asked_at, age))
        elif outcome is Outcome.GONE:
            self._hot.forget(key)
        else:
            self._hot.again(key, self._clock(), self._settle, _LONGEST_PAUSE)
        self._count(outcome)
        return outcome

    async def _renew(self, name: Name, tag: Tag) -> tuple[Outcome, float]:
        """The outcome, and the age that the lease had when this began."""
        if self._blocks(name):
            return Outcome.SUPERSEDED, 0.0
        evidence = await self._store.decide(name, tag)
        if evidence.lease is not None and evidence.lease.age < _EARLIEST * self._max_staleness:
            return Outcome.CURRENT, evidence.lease.age
        if evidence.marked:
            return Outcome.SUPERSEDED, 0.0
        # The wait makes the new lease as much older, never younger than the primary's answer.
        await self._limiter.acquire()
        async with asyncio.timeout(ANSWER_WITHIN):
            resolved = await self._primary.resolve(name, tag)
        self._patience.answered()
        if resolved is None or bare_media_type(resolved.media_type) not in LEASED_MEDIA_TYPES:
            return Outcome.GONE, 0.0
        if self._blocks(name):
            return Outcome.SUPERSEDED, 0.0
        seen = Observation(
            resolved.digest, tag=tag, media_type=bare_media_type(resolved.media_type), primary_has=True
        )
        if not await self._store.learn(name, evidence.snapshot, seen):
            return Outcome.SUPERSEDED, 0.0
        # Right after a push was told, the primary may still answer what the tag was before: the store keeps no lease
        # of that, and the tag wants another look.
        kept = (await self._store.decide(name, tag)).lease
        return (Outcome.SUPERSEDED if kept is None else Outcome.RENEWED), 0.0

    async def _in_slot(self, name: Name, tag: Tag) -> None:
        try:
            await self.look(name, tag)
        except Exception as error:
            # A fault of ours must not end the renewal of every other tag. Readers choose the tags, so told seldom.
            left_out = self._seldom.left_out(type(error).__name__)
            if left_out is not None:
                log.exception("renewal of a tag failed", repository=name, left_out=left_out)
            self._hot.forget((name, tag))
        self._wake_up()

    async def _next(self) -> Key:
        """A tag that is due, once one is."""
        while True:
            now = self._clock()
            key = self._hot.take(now) if now >= self._patience.left_alone_until else None
            if key is not None:
                return key
            self._waiting_for = max(self._hot.next_due(), self._patience.left_alone_until)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(self._waiting_for) else self._waiting_for - now):
                    await self._wake.wait()

    def _wake_up(self) -> None:
        """Where something is due earlier than `run` expects."""
        if max(self._hot.next_due(), self._patience.left_alone_until) < self._waiting_for:
            self._wake.set()

    def _due(self, now: float, age: float) -> float:
        """When a lease of this age at `now` is to be renewed."""
        return now + max(0.0, self._draw(_EARLIEST, _LATEST) * self._max_staleness - age)
