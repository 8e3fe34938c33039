"""Takes events into the store: all of an envelope, or StoreUnavailable and the sender sends it again.

Rules
1. Returning means that the store took every effect. Until then nothing is acknowledged.
2. Effects on one name are applied in their order, names beside each other, so many calls at once and no more.
3. Every effect may be repeated: it drops what is dropped, or confirms what is there. What was applied of an envelope
   that failed need not be undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath
from typing import Final, Protocol

from extproc.evidence.model import Arrived, Changed, Invalidation
from extproc.evidence.store import StoreUnavailable
from extproc.notification.effect import Change, Drop, Effect, Has, Lost, by_name, effects_of
from extproc.notification.event import Action, Event, Site
from extproc.oci.reference import Digest, Name, Tag

_AT_ONCE: Final = 16
"""Store calls under way, of all senders together: half of a worker's connections."""
_DIGESTS_AT_ONCE: Final = 500
"""In one call: a store does nothing else meanwhile."""


class Outcome(Enum):
    """What became of an event."""

    APPLIED = "applied"
    IGNORED = "ignored"
    """It changes nothing that is kept, such as a pull."""
    UNKNOWN = "unknown"
    """Of an action that we do not know."""
    UNAVAILABLE = "unavailable"
    """The store did not take its envelope, which the sender sends again."""


class EvidenceSink(Protocol):
    """The part of a store that notifications need. Each raises StoreUnavailable."""

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed: ...
    async def primary_dropped(self, name: Name) -> None: ...
    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> Sequence[Arrived]: ...
    async def secondary_lost(self, name: Name, digest: Digest) -> None: ...
    def pages(self) -> AsyncIterator[Sequence[Name]]: ...


class Recorder(Protocol):
    """Counts and measures; never raises."""

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None: ...

    def delayed(self, site: Site, seconds: float) -> None:
        """From the event, by the registry's clock, to its acknowledgement by ours."""

    def arrived(self, seconds: float) -> None:
        """From the primary's notification of a manifest to the secondary's."""


@dataclass(slots=True)
class Taken:
    """What the events of one envelope did."""

    dropped: list[tuple[Name, Tag]] = field(default_factory=list)
    """Tags whose lease held until then: somebody reads them."""
    arrived: list[tuple[Name, Arrived]] = field(default_factory=list)


class Ingest:
    """Takes events, of any number of senders at once."""

    def __init__(
        self,
        store: EvidenceSink,
        recorder: Recorder,
        *,
        on_lease_dropped: Callable[[Name, Tag], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` gives seconds since the Unix epoch; `on_lease_dropped` must not block or raise."""
        self._store = store
        self._recorder = recorder
        self._on_lease_dropped = on_lease_dropped
        self._now = now
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def take(self, site: Site, events: Sequence[Event]) -> Taken:
        """Apply all. Raises StoreUnavailable when the store did not take all of it."""
        taken = Taken()
        effects = [effects_of(site, event) for event in events]
        ordered = by_name(effect for some in effects for effect in some)
        try:
            async with asyncio.TaskGroup() as names:
                for each in ordered.values():
                    names.create_task(self._apply_all(each, taken))
            await self._drop_below({e.name for some in effects for e in some if isinstance(e, Drop) and e.below})
        except StoreUnavailable:
            self._unavailable(site, events)
            raise
        except ExceptionGroup as failed:
            _, fault = failed.split(StoreUnavailable)
            if fault is not None:
                raise fault from failed
            self._unavailable(site, events)
            raise StoreUnavailable(str(failed.exceptions[0])) from failed
        now = self._now()
        for event, some in zip(events, effects, strict=True):
            self._recorder.counted(site, event.action, _outcome(event, some))
            if event.at is not None:
                self._recorder.delayed(site, max(now - event.at, 0.0))
        return taken

    def _unavailable(self, site: Site, events: Sequence[Event]) -> None:
        for event in events:
            self._recorder.counted(site, event.action, Outcome.UNAVAILABLE)

    async def _apply_all(self, effects: Sequence[Effect], taken: Taken) -> None:
        for effect in effects:
            async with self._places:
                await self._apply(effect, taken)
            # A store in memory never waits, and others want to go on.
            await asyncio.sleep(0)

    async def _apply(self, effect: Effect, taken: Taken) -> None:
        match effect:
            case Change(name, what, pushed):
                changed = await self._store.primary_changed(name, what, pushed=pushed)
                if changed.lease_dropped and what.tag is not None:
                    taken.dropped.append((name, what.tag))
                    if self._on_lease_dropped is not None:
                        self._on_lease_dropped(name, what.tag)
            case Drop(name):
                await self._store.primary_dropped(name)
            case Has(name, digests):
                for first in range(0, len(digests), _DIGESTS_AT_ONCE):
                    arrived = await self._store.secondary_has(name, digests[first : first + _DIGESTS_AT_ONCE])
                    for each in arrived:
                        taken.arrived.append((name, each))
                        self._recorder.arrived(each.lag)
            case Lost(name, digest):
                await self._store.secondary_lost(name, digest)

    async def _drop_below(self, paths: Set[Name]) -> None:
        """Each name that the store knows below one of them; it is walked once. After all else, for what is dropped
        later than told is dropped all the same."""
        if not paths:
            return
        # A name that the store knows nothing of has no record to drop, and none is made for it.
        async for page in self._store.pages():
            for name in page:
                if any(str(above) in paths for above in PurePosixPath(name).parents):
                    async with self._places:
                        await self._store.primary_dropped(name)
            await asyncio.sleep(0)


def _outcome(event: Event, effects: Sequence[Effect]) -> Outcome:
    if event.action is Action.OTHER:
        return Outcome.UNKNOWN
    return Outcome.APPLIED if effects else Outcome.IGNORED
