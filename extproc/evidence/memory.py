"""Evidence in this process: the embedded default for one worker, and the plain statement of every rule.

No method awaits, so each is atomic in asyncio. Times are microseconds of the injected clock.
"""

from __future__ import annotations

import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from extproc.evidence.model import DigestState, Evidence, Invalidation, Lease, Observation, Snapshot
from extproc.oci.reference import Digest, Name, Tag

_TOKEN_SIZE = 8


def _token() -> bytes:
    return os.urandom(_TOKEN_SIZE)


@dataclass(frozen=True, slots=True)
class _Lease:
    digest: Digest
    media_type: str
    sent_at: int
    generation: bytes


@dataclass(frozen=True, slots=True)
class _Seen:
    """PRESENT since `at`, ABSENT until `at`, or UNKNOWN: of a dropped name, served by the primary at `at`."""

    state: DigestState
    at: int


@dataclass(slots=True)
class _Kept:
    """All that is kept of one name. The dictionaries are in order of renewal: what is oldest comes first."""

    epoch: bytes = b""
    dropped: bool = False
    marks: dict[str, int] = field(default_factory=dict)
    leases: OrderedDict[Tag, _Lease] = field(default_factory=OrderedDict)
    tombstones: set[Digest] = field(default_factory=set)
    seen: OrderedDict[Digest, _Seen] = field(default_factory=OrderedDict)

    def deleted(self, digest: Digest) -> bool:
        return digest in self.tombstones or (self.dropped and digest not in self.seen)

    def see(self, digest: Digest, state: DigestState, at: int) -> None:
        self.seen[digest] = _Seen(state, at)
        self.seen.move_to_end(digest)


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
        self._absent_ttl = math.ceil(absent_ttl * 1e6)
        self._name_ttl = math.ceil(name_ttl * 1e6)
        self._clock = clock
        self._generation = _token()
        self._names: dict[Name, _Kept] = {}
        self._idle: OrderedDict[Name, int] = OrderedDict()
        """When each name expires; those that never do (rule 5) are not here."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        now = self._now()
        kept = self._kept(name, now)
        if not kept.epoch:
            kept.epoch = _token()
            self._touch(name, kept, now)
        snapshot = Snapshot(kept.epoch, self._generation, now)
        marked = any(expiry > now for expiry in kept.marks.values())
        if isinstance(reference, Digest):
            return Evidence(snapshot, marked, None, *self._state(kept, reference, now))
        lease = kept.leases.get(reference)
        if lease is None or lease.generation != self._generation or not 0 <= now - lease.sent_at <= self._name_ttl:
            return Evidence(snapshot, marked, None, DigestState.UNKNOWN)
        held = Lease(lease.digest, lease.media_type, (now - lease.sent_at) / 1e6)
        return Evidence(snapshot, marked, held, *self._state(kept, lease.digest, now))

    def _state(self, kept: _Kept, digest: Digest, now: int) -> tuple[DigestState, float | None]:
        if kept.deleted(digest):
            return DigestState.DELETED, None
        seen = kept.seen.get(digest)
        if seen is not None and seen.state is DigestState.PRESENT:
            return DigestState.PRESENT, (now - seen.at) / 1e6
        if seen is not None and seen.state is DigestState.ABSENT and seen.at > now:
            return DigestState.ABSENT, None
        return DigestState.UNKNOWN, None

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        now = self._now()
        kept = self._kept(name, now)
        kept.marks[mark] = now + math.ceil(ttl * 1e6)
        self._invalidate(name, kept, what, now)

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        now = self._now()
        kept = self._kept(name, now)
        kept.marks.pop(mark, None)
        self._invalidate(name, kept, what, now)

    async def primary_changed(self, name: Name, what: Invalidation) -> None:
        now = self._now()
        self._invalidate(name, self._kept(name, now), what, now)

    def _invalidate(self, name: Name, kept: _Kept, what: Invalidation, now: int) -> None:
        kept.epoch = _token()
        if what.all_leases:
            kept.leases.clear()
        if what.tag is not None:
            kept.leases.pop(what.tag, None)
        if what.tombstone is not None:
            kept.seen.pop(what.tombstone, None)
            kept.tombstones.add(what.tombstone)
        self._touch(name, kept, now)

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        now = self._now()
        kept = self._kept(name, now)
        if not snapshot.epoch or kept.epoch != snapshot.epoch:
            return False
        digest = seen.digest
        if seen.primary_has and kept.deleted(digest):
            kept.tombstones.discard(digest)
            if kept.dropped:
                kept.see(digest, DigestState.UNKNOWN, now)
        if not kept.deleted(digest):
            if seen.secondary is DigestState.PRESENT:
                kept.see(digest, DigestState.PRESENT, now)
            elif seen.secondary is DigestState.ABSENT:
                kept.see(digest, DigestState.ABSENT, now + self._absent_ttl)
        if seen.tag is not None and snapshot.generation:
            kept.leases[seen.tag] = _Lease(digest, seen.media_type, snapshot.at, snapshot.generation)
            kept.leases.move_to_end(seen.tag)
        self._touch(name, kept, now)
        return True

    async def primary_dropped(self, name: Name) -> None:
        now = self._now()
        kept = _Kept(epoch=_token(), dropped=True, marks=self._kept(name, now).marks)
        self._touch(name, kept, now)

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> None:
        now = self._now()
        kept = self._kept(name, now)
        for digest in digests:
            if not kept.deleted(digest):
                kept.see(digest, DigestState.PRESENT, now)
        self._touch(name, kept, now)

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        now = self._now()
        kept = self._kept(name, now)
        seen = kept.seen.get(digest)
        if seen is None or seen.state is not DigestState.PRESENT:
            return
        if kept.dropped:
            kept.see(digest, DigestState.UNKNOWN, now)
        else:
            del kept.seen[digest]
        self._touch(name, kept, now)

    async def void_leases(self) -> None:
        self._generation = _token()

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to release."""

    def _now(self) -> int:
        return int(self._clock() * 1e6)

    def _kept(self, name: Name, now: int) -> _Kept:
        """What is kept of a name, without what expired; kept on only by `_touch`."""
        while self._idle and next(iter(self._idle.values())) < now:
            expired, _ = self._idle.popitem(last=False)
            del self._names[expired]
        # A name behind one that a long mark holds may be due too.
        if self._idle.get(name, now) < now:
            del self._idle[name], self._names[name]
        kept = self._names.get(name)
        if kept is None:
            return _Kept()
        while kept.leases and next(iter(kept.leases.values())).sent_at + self._name_ttl < now:
            kept.leases.popitem(last=False)
        while kept.seen and next(iter(kept.seen.values())).at + self._name_ttl < now:
            kept.seen.popitem(last=False)
        return kept

    def _touch(self, name: Name, kept: _Kept, now: int) -> None:
        self._names[name] = kept
        for mark in [mark for mark, expiry in kept.marks.items() if expiry <= now]:
            del kept.marks[mark]
        self._idle.pop(name, None)
        if not kept.tombstones and not kept.dropped:
            self._idle[name] = max(now + self._name_ttl, *kept.marks.values(), now)
