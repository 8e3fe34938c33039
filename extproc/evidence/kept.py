"""What the memory store keeps of one name, and the rules on it in plain Python. Times are microseconds; no clock."""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from extproc.evidence.model import (
    Arrived,
    ContentKind,
    DigestState,
    Invalidation,
    Known,
    Lease,
    Observation,
    Record,
    Snapshot,
)
from extproc.evidence.store import LONGEST_EXCHANGE
from extproc.oci.reference import Digest, Name, Tag

_TOKEN_SIZE: Final = 8
_LONGEST_EXCHANGE: Final = round(LONGEST_EXCHANGE * 1e6)


def micros(seconds: float) -> int:
    return math.ceil(seconds * 1e6)


def token() -> bytes:
    """An epoch or a generation: random, compared for equality only."""
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
class Kept:
    """All that is kept of one name. The ordered dictionaries are in order of age: what is oldest comes first."""

    epoch: bytes = b""
    dropped: bool = False
    marks: dict[str, int] = field(default_factory=dict)
    """When each expires."""
    leases: OrderedDict[Tag, _Lease] = field(default_factory=OrderedDict)
    tombstones: set[Digest] = field(default_factory=set)
    half_lifted: dict[Digest, ContentKind] = field(default_factory=dict)
    """Of tombstones that the primary's answer lifted for one kind: what is still deleted."""
    seen: OrderedDict[Digest, _Seen] = field(default_factory=OrderedDict)
    awaited: OrderedDict[Digest, int] = field(default_factory=OrderedDict)
    """When each was told to be pushed. No rule but of awaiting reads it."""
    lag: int | None = None
    moving: dict[Tag, tuple[Digest, int]] = field(default_factory=dict)
    """Where the push told last moves a tag to, and until when it may still be doing so."""

    def forget(self, before: int) -> None:
        """What was last renewed before that time."""
        while self.leases and next(iter(self.leases.values())).sent_at < before:
            self.leases.popitem(last=False)
        while self.seen and next(iter(self.seen.values())).at < before:
            digest, _ = self.seen.popitem(last=False)
            if self.dropped:
                # Deleted as both again.
                self.half_lifted.pop(digest, None)
        while self.awaited and next(iter(self.awaited.values())) < before:
            self.awaited.popitem(last=False)

    def mark(self, mark: str, expiry: int) -> None:
        """Set again, it has the later end."""
        self.marks[mark] = max(expiry, self.marks.get(mark, expiry))

    def forget_marks(self, now: int) -> None:
        for mark in [mark for mark, expiry in self.marks.items() if expiry <= now]:
            del self.marks[mark]

    def marked(self, now: int) -> bool:
        return any(expiry > now for expiry in self.marks.values())

    def lease(self, tag: Tag, generation: bytes, now: int, name_ttl: int) -> Lease | None:
        """The tag's lease if it holds."""
        lease = self.leases.get(tag)
        # A negative age is another clock's: how old the lease is, nobody knows.
        if lease is None or lease.generation != generation or not 0 <= now - lease.sent_at <= name_ttl:
            return None
        return Lease(lease.digest, lease.media_type, (now - lease.sent_at) / 1e6)

    def known(self, digest: Digest, now: int) -> Known:
        if self._deleted(digest):
            return Known(DigestState.DELETED)
        seen, deleted_as = self.seen.get(digest), self.half_lifted.get(digest)
        if seen is not None and seen.state is DigestState.PRESENT:
            return Known(DigestState.PRESENT, (now - seen.at) / 1e6, deleted_as)
        if seen is not None and seen.state is DigestState.ABSENT and seen.at > now:
            return Known(DigestState.ABSENT, deleted_as=deleted_as)
        return Known(DigestState.UNKNOWN, deleted_as=deleted_as)

    def record(self, name: Name, generation: bytes, now: int, name_ttl: int) -> Record:
        leases = {tag: self.lease(tag, generation, now, name_ttl) for tag in self.leases}
        digests = {digest: self.known(digest, now) for digest in (*self.seen, *self.tombstones, *self.half_lifted)}
        return Record(
            name,
            dropped=self.dropped,
            leases={tag: lease for tag, lease in leases.items() if lease is not None},
            digests={digest: known for digest, known in digests.items() if known != Known(DigestState.UNKNOWN)},
            marks=tuple(sorted((expiry - now) / 1e6 for expiry in self.marks.values() if expiry > now)),
            awaited={digest: (now - at) / 1e6 for digest, at in self.awaited.items()},
            lag=None if self.lag is None else self.lag / 1e6,
        )

    def invalidate(self, what: Invalidation) -> None:
        self.epoch = token()
        if what.all_leases:
            self.leases.clear()
        if what.tag is not None:
            self.leases.pop(what.tag, None)
        if what.tombstone is not None:
            self.seen.pop(what.tombstone, None)
            self.awaited.pop(what.tombstone, None)
            self.half_lifted.pop(what.tombstone, None)
            self.tombstones.add(what.tombstone)

    def moves(self, tag: Tag, digest: Digest, now: int, settles: int) -> None:
        """A push was told that may not have moved the tag yet."""
        # In the order in which they were told: those that no question can be as old as come first.
        self.moving.pop(tag, None)
        while self.moving and next(iter(self.moving.values()))[1] + _LONGEST_EXCHANGE <= now:
            del self.moving[next(iter(self.moving))]
        self.moving[tag] = (digest, now + settles)

    def _moves_elsewhere(self, tag: Tag, digest: Digest, asked_at: int) -> bool:
        """Whether the primary, asked then, may have answered from before the move; the answer may come far later."""
        target, until = self.moving.get(tag, (digest, 0))
        return target != digest and until > asked_at

    def pushed(self, digest: Digest, now: int) -> None:
        """Awaited at the secondary, since the first time that it was told."""
        if self.known(digest, now).state is not DigestState.PRESENT:
            self.awaited.setdefault(digest, now)

    def learn(self, snapshot: Snapshot, seen: Observation, now: int, absent_ttl: int) -> None:
        """Of an exchange that began under this epoch."""
        digest = seen.digest
        if seen.primary_has:
            self._lift(digest, seen.kind, now)
        if seen.secondary is DigestState.PRESENT:
            self.present(digest, now)
        elif seen.secondary is DigestState.ABSENT and not self._deleted(digest):
            self._see(digest, DigestState.ABSENT, now + absent_ttl)
        if seen.tag is not None and snapshot.generation:
            self._lease(seen.tag, _Lease(digest, seen.media_type, snapshot.at, snapshot.generation), now)

    def _lift(self, digest: Digest, kind: ContentKind, now: int) -> None:
        """The primary served it as this kind."""
        if self._deleted(digest):
            self.tombstones.discard(digest)
            self.half_lifted[digest] = kind.other
            if self.dropped:
                self._see(digest, DigestState.UNKNOWN, now)
        elif self.half_lifted.get(digest) is kind:
            del self.half_lifted[digest]

    def _lease(self, tag: Tag, lease: _Lease, now: int) -> None:
        if lease.sent_at + _LONGEST_EXCHANGE <= now or self._moves_elsewhere(tag, lease.digest, lease.sent_at):
            return
        held = self.leases.get(tag)
        if held is None or held.generation != lease.generation or held.sent_at <= lease.sent_at:
            self.leases[tag] = lease
            self.leases.move_to_end(tag)

    def present(self, digest: Digest, now: int) -> Arrived | None:
        """At the secondary, unless deleted; that it arrived, if it was awaited."""
        if self._deleted(digest):
            return None
        self._see(digest, DigestState.PRESENT, now)
        pushed_at = self.awaited.pop(digest, None)
        if pushed_at is None:
            return None
        self.lag = max(now - pushed_at, 0)
        return Arrived(digest, self.lag / 1e6)

    def lost(self, digest: Digest, now: int) -> bool:
        """No longer present; whether it was."""
        seen = self.seen.get(digest)
        if seen is None or seen.state is not DigestState.PRESENT:
            return False
        if self.dropped:
            # It stays lifted: the primary still has it.
            self._see(digest, DigestState.UNKNOWN, now)
        else:
            del self.seen[digest]
        return True

    def _deleted(self, digest: Digest) -> bool:
        """As a manifest and as a blob."""
        return digest in self.tombstones or (self.dropped and digest not in self.seen)

    def _see(self, digest: Digest, state: DigestState, at: int) -> None:
        self.seen[digest] = _Seen(state, at)
        self.seen.move_to_end(digest)
