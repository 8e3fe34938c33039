"""A store within a time budget and behind a breaker: a request never waits longer for evidence than that.

A cancelled call (the client went away) is no failure of the store, and frees the probe it may have been.

A store that was away and is back is not believed at once: other workers may hold writes that it has not been told
of yet (`Backlog`), and what it still says of them is outdated. They tell it within the quarantine.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol, TypeVar

from extproc.evidence.breaker import Breaker, State
from extproc.evidence.budget import Budget
from extproc.evidence.guarded_asking import NOT_YET, GuardedAsking
from extproc.evidence.guarded_pages import pages_by
from extproc.evidence.model import Arrived, Changed, Evidence, Invalidation, Observation, Record, Snapshot
from extproc.evidence.store import LONGEST_STEP, Askable, Store, StoreUnavailable, names_in
from extproc.oci.reference import Digest, Name, Tag

T = TypeVar("T")


def _ignore(available: bool, detail: str) -> None:
    pass


class LeaseLog(Protocol):
    """Hears of leases, for statistics. Neither blocks nor raises."""

    def written(self) -> None: ...

    def dropped(self) -> None:
        """By an invalidation of one tag, or of all of a name: how many these were is not known."""


class _NoLog:
    def written(self) -> None:
        pass

    def dropped(self) -> None:
        pass


def _unwatched(operation: str) -> AbstractContextManager[object]:
    return nullcontext()


class GuardedStore:
    """`Store` whose round trips end within `budget` seconds, by StoreUnavailable at the latest; behind a breaker.

    `on_change(available, detail)` is called once for each change between used and left alone.
    """

    def __init__(
        self,
        store: Store,
        *,
        budget: float,
        breaker: Breaker,
        quarantine: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[bool, str], None] = _ignore,
        watch: Callable[[str], AbstractContextManager[object]] = _unwatched,
        leases: LeaseLog | None = None,
    ) -> None:
        """`quarantine`: seconds after an outage for which `decide` still raises StoreUnavailable. `watch(operation)`
        is a block around each operation of an exchange."""
        self._store = store
        self._budget = Budget(budget)
        self._breaker = breaker
        self._clock = clock
        self._on_change = on_change
        self._watch = watch
        self._leases = leases or _NoLog()
        self._detail = ""
        self._quarantine = quarantine
        self._believed_at = -math.inf

    async def _guard(self, call: Callable[[], Awaitable[T]]) -> T:
        probe = self.allowed()
        try:
            with self._budget.spent():
                result = await call()
        except TimeoutError as error:
            raise self.timed_out(probe) from error
        except Exception as error:
            self.broke(error, probe)
            raise
        except BaseException:
            self._breaker.abandoned(probe=probe)
            raise
        self.answered(probe)
        return result

    def allowed(self) -> bool:
        """Whether this very call is the breaker's probe. Raises StoreUnavailable where it must not be made."""
        if not self._breaker.allow(self._clock()):
            raise StoreUnavailable(f"left alone after failures; the last: {self._detail}")
        # Nothing may run between the two lines: the state says it.
        return self._breaker.state is State.HALF_OPEN

    def answered(self, probe: bool) -> None:
        if self._breaker.succeeded(probe=probe):
            self._distrust()
            self._on_change(True, "answers again")

    def timed_out(self, probe: bool) -> StoreUnavailable:
        detail = f"no answer within {self._budget.seconds * 1000:.0f} ms"
        self._failed(detail, probe)
        return StoreUnavailable(detail)

    def broke(self, error: Exception, probe: bool) -> None:
        # It refused or is gone; a mere timeout may be our own load, and counts once the breaker opens.
        self._distrust()
        # Other errors than StoreUnavailable are faults of ours: they count, and they surface.
        self._failed(str(error), probe)

    @property
    def asking(self) -> GuardedAsking | None:
        """This, asked without a task, where the store can be; None where it cannot. No span is made of it."""
        inner = self._store.asking if isinstance(self._store, Askable) else None
        return None if inner is None else GuardedAsking(inner, self, self._budget)

    def believed(self) -> bool:
        """Whether what the store says of evidence counts."""
        return self._clock() >= self._believed_at

    async def _watched(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        with self._watch(operation):
            return await self._guard(call)

    def _distrust(self) -> None:
        self._believed_at = self._clock() + self._quarantine

    def _failed(self, detail: str, probe: bool) -> None:
        self._detail = detail
        if self._breaker.failed(self._clock(), probe=probe):
            self._on_change(False, detail)

    def _note_written(self, taken: bool, seen: Sequence[Observation]) -> None:
        if taken:
            for each in seen:
                if each.tag is not None:
                    self._leases.written()

    def _note_dropped(self, what: Invalidation) -> None:
        if what.tag is not None or what.all_leases:
            self._leases.dropped()

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        evidence = await self._watched("decide", lambda: self._store.decide(name, reference))
        if not self.believed():
            raise StoreUnavailable(NOT_YET)
        return evidence

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        await self._watched("begin_write", lambda: self._store.begin_write(name, mark, what, ttl))
        self._note_dropped(what)

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        await self._watched("end_write", lambda: self._store.end_write(name, mark, what))

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        taken = await self._watched("learn", lambda: self._store.learn(name, snapshot, seen))
        self._note_written(taken, [seen])
        return taken

    async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
        for start in range(0, max(len(seen), 1), LONGEST_STEP):
            step = seen[start : start + LONGEST_STEP]
            taken = await self._watched("learn_all", partial(self._store.learn_all, name, snapshot, step))
            self._note_written(taken, step)
            if not taken:
                return False
        return True

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        changed = await self._watched(
            "primary_changed", lambda: self._store.primary_changed(name, what, pushed=pushed)
        )
        self._note_dropped(what)
        return changed

    async def primary_dropped(self, name: Name) -> None:
        await self._watched("primary_dropped", lambda: self._store.primary_dropped(name))

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> Sequence[Arrived]:
        told = list(digests)
        arrived: list[Arrived] = []
        for start in range(0, max(len(told), 1), LONGEST_STEP):
            step = told[start : start + LONGEST_STEP]
            arrived += await self._watched("secondary_has", partial(self._store.secondary_has, name, step))
        return arrived

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        await self._watched("secondary_lost", lambda: self._store.secondary_lost(name, digest))

    async def void_leases(self) -> None:
        await self._guard(self._store.void_leases)

    async def inspect(self, name: Name) -> Record:
        return await self._watched("inspect", lambda: self._store.inspect(name))

    def names(self) -> AsyncIterator[Name]:
        return names_in(self.pages())

    def pages(self) -> AsyncIterator[Sequence[Name]]:
        """Each page within the budget, however long the caller takes for it."""
        return pages_by(self._guard, self._store.pages())

    async def note(self, topic: str, text: str | None) -> None:
        await self._guard(lambda: self._store.note(topic, text))

    async def noted(self, topic: str) -> str | None:
        return await self._guard(lambda: self._store.noted(topic))

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        return await self._guard(lambda: self._store.claim(topic, owner, ttl))

    async def release(self, topic: str, owner: str) -> None:
        await self._guard(lambda: self._store.release(topic, owner))

    async def ping(self) -> None:
        await self._guard(self._store.ping)

    async def close(self) -> None:
        """Not guarded: closing must be tried whatever the store's state."""
        await self._store.close()
