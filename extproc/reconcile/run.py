"""One run over all names: so many at once, each compared, counted and saved; what was busy once more at the end.

A site that is down ends it early (outage.py), and so does a store that stays away. What is done is kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final, Protocol

from extproc.evidence.store import Store, StoreRefused, StoreUnavailable
from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import Checkpoint, Head, finished
from extproc.reconcile.comparison import Comparison
from extproc.reconcile.outage import OF_THE_SITE, Outage
from extproc.reconcile.site import Site
from extproc.reconcile.source import Source
from extproc.reconcile.summary import Counts, Summary
from extproc.registry.error import RegistryError
from extproc.telemetry import names
from extproc.telemetry.work import Work

_SAVE_EVERY: Final = 1.0
"""Seconds between saves, at least: what a killed run compares again."""
_MOST_BUSY: Final = 1000
"""Names that are kept for a second try; of more, the first try counts."""
_LOOK_EVERY: Final = 0.5
_MOST_TRACED: Final = 1000
"""Names with a span of their own: more would push all else out of the exporter's queue."""
_TRIES: Final = 3
"""Of one name, when the store fails in its middle."""
_LAST_WORDS: Final = 2.0
"""Seconds that an interrupted run has to save."""


class Watch(Protocol):
    """Told how a run goes on."""

    def begin(self, source: Source, total: int | None, done: int) -> None:
        """`total`: names, where known or guessed from the last run; `done` of them by an interrupted run."""

    def displaces(self, interrupted: Head) -> None:
        """That run is over other names: it can be continued until this one has saved a name."""

    def tags(self, count: int) -> None:
        """So many more were compared."""

    def name_done(self, counts: Counts) -> None:
        """One more name is done; `counts` of the whole run."""


class Silent:
    """Nobody watches."""

    def begin(self, source: Source, total: int | None, done: int) -> None: ...
    def displaces(self, interrupted: Head) -> None: ...
    def tags(self, count: int) -> None: ...
    def name_done(self, counts: Counts) -> None: ...


class Reconciler:
    """Compares both sites, and keeps in the store what it sees."""

    def __init__(
        self,
        store: Store,
        primary: Site,
        secondary: Site,
        *,
        concurrency: int,
        blobs: bool = False,
        watch: Watch | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = 30.0,
        blocks: Callable[[Name], bool] = lambda name: False,
        work: Work | None = None,
    ) -> None:
        """`concurrency`: names at once. `clock`: seconds since the Unix epoch, for people; evidence has the store's.
        `patience`: seconds to wait for a store that is away, each time. `work`: for spans of the names."""
        self._blocks = blocks
        self._work = work or Work.untraced()
        self._traced = 0
        self._store = store
        self._primary = primary
        self._secondary = secondary
        self._concurrency = concurrency
        self._blobs = blobs
        self._watch = watch or Silent()
        self._clock = clock
        self._patience = patience
        self._saved_at = 0.0

    async def run(self, source: Source, *, by: str, fresh: bool = False) -> Summary:
        """The caller holds the claim. Cancelled, it saves what is done.

        Raises StoreUnavailable, RegistryError when a site is down or the names cannot be walked, and SourceInvalid.
        """
        begun = self._clock()
        if source.complete:
            last = await finished(self._store)
            checkpoint = await Checkpoint.open(self._store, source.key, by, begun, fresh=fresh)
        else:
            last, checkpoint = None, Checkpoint.unsaved(source.key, by, begun)
        guess = last.names if last is not None and last.source == source.key else None
        self._watch.begin(source, guess if source.total is None else source.total, checkpoint.resumed)
        if checkpoint.displaced is not None and not fresh:
            self._watch.displaces(checkpoint.displaced)
        self._saved_at = time.monotonic()
        try:
            busy = await self._walk(source.walk(), checkpoint, last_try=False)
            await self._walk(_again(busy), checkpoint, last_try=True)
        except BaseException:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await checkpoint.close()
            raise
        return await checkpoint.finish(self._clock())

    async def _walk(self, names: AsyncIterator[Name], checkpoint: Checkpoint, *, last_try: bool) -> list[Name]:
        """The names that were busy, unless it is the last try."""
        busy: dict[Name, None] = {}
        under_way: set[Name] = set()
        outage = Outage(self._concurrency)
        turn = asyncio.Lock()

        async def next_name() -> Name | None:
            async with turn:
                async for name in names:
                    if not any(name in known for known in (checkpoint, under_way, busy, outage)):
                        under_way.add(name)
                        return name
            return None

        def done(name: Name, counts: Counts) -> None:
            checkpoint.add(name, counts)
            self._watch.name_done(checkpoint.counts)

        def outage_over() -> None:
            for name, error in outage.over().items():
                done(name, _unread(name, error))

        async def work() -> None:
            while (name := await next_name()) is not None:
                try:
                    counts = await self._compare_traced(name)
                except OF_THE_SITE as error:
                    under_way.remove(name)
                    outage.failed(name, error, checkpoint.kept)
                    continue
                under_way.remove(name)
                outage_over()
                if counts.busy and not counts.errors and not last_try and len(busy) < _MOST_BUSY:
                    busy[name] = None
                    continue
                done(name, counts)
                await self._save_when_due(checkpoint)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            # One is enough to say what ended the run; the others are of the same kind, or its cancellations.
            raise errors.exceptions[0] from None
        outage_over()
        return list(busy)

    async def _compare_traced(self, name: Name) -> Counts:
        """With a span of its own, for the first names of a traced run."""
        self._traced += 1
        if self._traced > _MOST_TRACED:
            return await self._compare(name)
        with self._work.child(names.RECONCILE_NAME_SPAN, lambda: {names.REPOSITORY: name}):
            return await self._compare(name)

    async def _compare(self, name: Name) -> Counts:
        """Raises StoreUnavailable for a store that stays away, and errors of the site (`OF_THE_SITE`)."""
        tries = 0
        while True:
            comparison = Comparison(
                name,
                self._store,
                self._primary,
                self._secondary,
                blobs=self._blobs,
                on_tags=self._watch.tags,
                blocks=self._blocks,
            )
            try:
                return await comparison.run()
            except OF_THE_SITE:
                raise
            except RegistryError as error:
                return _unread(name, error)
            except StoreRefused:
                raise
            except StoreUnavailable:
                tries += 1
                if tries == _TRIES:
                    raise
                await self._store_back()

    async def _store_back(self) -> None:
        """Wait for it. Raises StoreUnavailable when it stays away."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                await self._store.ping()
            except StoreRefused:
                raise
            except StoreUnavailable:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_LOOK_EVERY)
            else:
                return

    async def _save_when_due(self, checkpoint: Checkpoint) -> None:
        if time.monotonic() - self._saved_at < _SAVE_EVERY:
            return
        self._saved_at = time.monotonic()
        # Not saved now is saved later: a run killed meanwhile compares some names again.
        with suppress(StoreUnavailable):
            await checkpoint.save()


def _unread(name: Name, error: RegistryError) -> Counts:
    return Counts(names=1, errors=1, error_examples=(f"{name}: {error}",))


async def _again(names: list[Name]) -> AsyncIterator[Name]:
    for name in names:
        yield name
