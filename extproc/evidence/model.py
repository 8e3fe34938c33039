"""The words of the evidence model (docs/evidence.md): what a store hands out and takes in.

No clock, no I/O. Ages are seconds, measured by the store's own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from extproc.oci.reference import Digest, Name, Tag


class ContentKind(Enum):
    """What a digest is read as. One digest may be both under one name: a manifest that was also pushed as a blob."""

    MANIFEST = "manifest"
    BLOB = "blob"

    @property
    def other(self) -> ContentKind:
        return ContentKind.BLOB if self is ContentKind.MANIFEST else ContentKind.MANIFEST


class DigestState(Enum):
    """What is known of one digest under one name."""

    UNKNOWN = "unknown"
    PRESENT = "present"
    """The secondary served it."""
    ABSENT = "absent"
    """The secondary did not serve it, seconds ago."""
    DELETED = "deleted"
    """Tombstone: deleted on the primary; only the primary's own 200 lifts it, for the kind that it served."""


@dataclass(init=False, slots=True)
class Lease:
    """The primary resolved a tag to `digest`, in answer to a request sent `age` seconds ago."""

    digest: Digest
    media_type: str
    age: float

    def __init__(
        self,
        digest: Digest,
        media_type: str,
        age: float,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.digest = digest
        self.media_type = media_type
        self.age = age


@dataclass(init=False, slots=True)
class Snapshot:
    """Where a name stood when an exchange began: `learn` compares it, so nothing outdated is learned."""

    epoch: bytes
    """The name's epoch; empty matches nothing."""
    generation: bytes
    """The site-wide lease generation (docs/evidence.md); empty matches nothing."""
    at: int
    """The store's clock in microseconds, before the request is forwarded: a lease's `sent_at`."""

    def __init__(self, epoch: bytes, generation: bytes, at: int) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.epoch = epoch
        self.generation = generation
        self.at = at


@dataclass(init=False, slots=True)
class Evidence:
    """The answer of `decide` for one name and reference, taken atomically."""

    snapshot: Snapshot
    marked: bool
    """A write is under way: nothing may be learned from this exchange."""
    lease: Lease | None
    """For a tag; None when there is none or it is void. Its age is the reader's to judge."""
    digest: DigestState
    """Of the digest asked for, or of the lease's digest; UNKNOWN where there is neither. `state_as` tells whether it
    counts for a read."""
    confirmed: float | None
    """For PRESENT: seconds since the secondary was last seen to serve it."""
    deleted_as: ContentKind | None
    """The digest is still deleted as this alone: the primary served it as the other since."""

    def __init__(  # noqa: PLR0917 - its fields
        self,
        snapshot: Snapshot,
        marked: bool,
        lease: Lease | None,
        digest: DigestState,
        confirmed: float | None = None,
        deleted_as: ContentKind | None = None,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.snapshot = snapshot
        self.marked = marked
        self.lease = lease
        self.digest = digest
        self.confirmed = confirmed
        self.deleted_as = deleted_as

    def state_as(self, kind: ContentKind) -> DigestState:
        """Of the digest, read as this kind. A lease's is a manifest."""
        return DigestState.DELETED if kind is self.deleted_as else self.digest


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The store did not answer within its budget."""

    detail: str


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What a write makes untrue under one name. The epoch always changes; the rest is named here."""

    tag: Tag | None = None
    """Its lease is dropped."""
    all_leases: bool = False
    tombstone: Digest | None = None
    """Deleted as a manifest and as a blob."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one finished exchange showed; `learn` takes it if the snapshot still holds."""

    digest: Digest
    tag: Tag | None = None
    """Set when the primary resolved this tag to `digest`: a lease is written."""
    media_type: str = ""
    """Of the lease."""
    secondary: DigestState = DigestState.UNKNOWN
    """PRESENT or ABSENT when the secondary was asked."""
    primary_has: bool = False
    """The primary served it: a tombstone is lifted, for `kind`."""
    kind: ContentKind = ContentKind.MANIFEST
    """What it was asked for as."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What an invalidation found there."""

    lease_dropped: bool = False
    """The tag named (`Invalidation.tag`; not those of `all_leases`) had a lease that held: somebody reads it."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A digest pushed on the primary that is now known to be at the secondary."""

    digest: Digest
    lag: float
    """Seconds from the primary's notification to this."""


@dataclass(init=False, slots=True)
class Known:
    """What is kept of one digest."""

    state: DigestState
    confirmed: float | None
    """For PRESENT: seconds since the secondary was last seen to have it."""
    deleted_as: ContentKind | None
    """Still deleted as this alone; `state` is of the other."""

    def __init__(
        self, state: DigestState, confirmed: float | None = None, deleted_as: ContentKind | None = None
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.state = state
        self.confirmed = confirmed
        self.deleted_as = deleted_as

    def state_as(self, kind: ContentKind) -> DigestState:
        """Of the digest as this kind."""
        return DigestState.DELETED if kind is self.deleted_as else self.state


@dataclass(frozen=True, slots=True)
class Record:
    """All that a store holds of one name at one instant: what `status` shows, and what reconcile compares with."""

    name: Name
    dropped: bool = False
    """The whole name was renamed or deleted on the primary; only digests that it served since count."""
    leases: Mapping[Tag, Lease] = field(default_factory=dict)
    """Those that hold, whatever their age; void ones are left out."""
    digests: Mapping[Digest, Known] = field(default_factory=dict)
    """PRESENT, ABSENT and DELETED ones, and those that are still deleted as one kind; the others are left out."""
    marks: tuple[float, ...] = ()
    """Seconds until each mark that still counts expires, the soonest first."""
    awaited: Mapping[Digest, float] = field(default_factory=dict)
    """Manifests pushed on the primary and not yet seen at the secondary: seconds since the push was told."""
    lag: float | None = None
    """Seconds that the last such manifest took to arrive; None when none has since the name was last dropped."""
