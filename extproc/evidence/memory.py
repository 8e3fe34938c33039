"""Evidence in this process: the embedded default for one worker, and with `kept` the plain statement of every rule.

No method awaits, so each is atomic in asyncio. Times are microseconds of the injected clock.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from extproc.evidence.kept import Kept, micros, token
from extproc.evidence.mark import kept_as
from extproc.evidence.model import (
    Arrived,
    Changed,
    DigestState,
    Evidence,
    Invalidation,
    Known,
    Observation,
    Record,
    Snapshot,
)
from extproc.evidence.store import PUSH_SETTLES, names_in
from extproc.oci.reference import Digest, Name, Tag


class MemoryStore:
    """`Store` for one process. Nothing of it survives the process."""

    def __init__(
        self,
        absent_ttl: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        name_ttl: float = 7 * 86400.0,
    ) -> None:
        """Seconds throughout. A name, tag or digest not renewed for `name_ttl` is forgotten."""
        self._absent_ttl = micros(absent_ttl)
        self._name_ttl = micros(name_ttl)
        self._clock = clock
        self._generation = token()
        self._names: dict[Name, Kept] = {}
        self._idle: OrderedDict[Name, int] = OrderedDict()
        """When each name expires; those that never do (rule 5) are not here."""
        self._notes: dict[str, str] = {}
        self._claims: dict[str, tuple[str, int]] = {}
        """Who holds a topic, and until when."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        now = self._now()
        kept = self._kept(name, now)
        if not kept.epoch:
            kept.epoch = token()
            self._touch(name, kept, now)
        snapshot = Snapshot(kept.epoch, self._generation, now)
        marked = kept.marked(now)
        if isinstance(reference, Digest):
            known = kept.known(reference, now)
            return Evidence(snapshot, marked, None, known.state, known.confirmed, known.deleted_as)
        held = kept.lease(reference, self._generation, now, self._name_ttl)
        known = Known(DigestState.UNKNOWN) if held is None else kept.known(held.digest, now)
        return Evidence(snapshot, marked, held, known.state, known.confirmed, known.deleted_as)

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        now = self._now()
        kept = self._kept(name, now)
        kept.mark(kept_as(mark), now + micros(ttl))
        kept.invalidate(what)
        self._touch(name, kept, now)

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        now = self._now()
        kept = self._kept(name, now)
        kept.marks.pop(kept_as(mark), None)
        kept.invalidate(what)
        self._touch(name, kept, now)

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        return await self.learn_all(name, snapshot, (seen,))

    async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
        now = self._now()
        kept = self._kept(name, now)
        if not snapshot.epoch or kept.epoch != snapshot.epoch:
            return False
        for each in seen:
            kept.learn(snapshot, each, now, self._absent_ttl)
        self._touch(name, kept, now)
        return True

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        now = self._now()
        kept = self._kept(name, now)
        held = what.tag is not None and kept.lease(what.tag, self._generation, now, self._name_ttl) is not None
        kept.invalidate(what)
        if pushed is not None:
            kept.pushed(pushed, now)
            if what.tag is not None:
                kept.moves(what.tag, pushed, now, micros(PUSH_SETTLES))
        self._touch(name, kept, now)
        return Changed(lease_dropped=held)

    async def primary_dropped(self, name: Name) -> None:
        now = self._now()
        kept = Kept(epoch=token(), dropped=True, marks=self._kept(name, now).marks)
        self._touch(name, kept, now)

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> tuple[Arrived, ...]:
        if not (told := list(digests)):
            return ()
        now = self._now()
        kept = self._kept(name, now)
        arrived = [kept.present(digest, now) for digest in told]
        self._touch(name, kept, now)
        return tuple(each for each in arrived if each is not None)

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        now = self._now()
        kept = self._kept(name, now)
        if kept.lost(digest, now):
            self._touch(name, kept, now)

    async def void_leases(self) -> None:
        self._generation = token()

    async def inspect(self, name: Name) -> Record:
        now = self._now()
        return self._kept(name, now).record(name, self._generation, now, self._name_ttl)

    def names(self) -> AsyncIterator[Name]:
        return names_in(self.pages())

    async def pages(self) -> AsyncIterator[Sequence[Name]]:
        now = self._now()
        # A copy: the store goes on while somebody walks through it.
        yield [name for name in self._names if self._idle.get(name, now) >= now]

    async def note(self, topic: str, text: str | None) -> None:
        if text is None:
            self._notes.pop(topic, None)
        else:
            self._notes[topic] = text

    async def noted(self, topic: str) -> str | None:
        return self._notes.get(topic)

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        now = self._now()
        holder, until = self._claims.get(topic, (owner, now))
        if holder != owner and until > now:
            return False
        self._claims[topic] = owner, now + micros(ttl)
        return True

    async def release(self, topic: str, owner: str) -> None:
        if self._claims.get(topic, ("", 0))[0] == owner:
            del self._claims[topic]

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to release."""

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _kept(self, name: Name, now: int) -> Kept:
        """What is kept of a name, without what expired; kept on only by `_touch`."""
        while self._idle and next(iter(self._idle.values())) < now:
            expired, _ = self._idle.popitem(last=False)
            del self._names[expired]
        # A name behind one that a long mark holds may be due too.
        if self._idle.get(name, now) < now:
            del self._idle[name], self._names[name]
        kept = self._names.get(name)
        if kept is None:
            return Kept()
        kept.forget(now - self._name_ttl)
        return kept

    def _touch(self, name: Name, kept: Kept, now: int) -> None:
        self._names[name] = kept
        kept.forget_marks(now)
        self._idle.pop(name, None)
        if not kept.tombstones and not kept.half_lifted and not kept.dropped:
            self._idle[name] = max(now + self._name_ttl, *kept.marks.values(), now)
