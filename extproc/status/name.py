"""One name's record in figures. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from extproc.evidence.model import ContentKind, DigestState, Record
from extproc.oci.reference import Digest


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted of a name. Durations in seconds."""

    dropped: bool
    """Renamed or deleted on the primary; only what was read there since counts."""
    leases: int
    fresh_leases: int
    """Not older than `policy.max_staleness`: what reads use."""
    oldest_lease: float | None
    behind: int
    """Manifests that the primary has, for a lease names them or a push was told, and that are not known to be here.
    Each counts once. One that was deleted is not behind."""
    present: int
    absent: int
    tombstones: int
    awaited: int
    """Told as pushed on the primary, and not yet seen here. They are behind, too."""
    longest_wait: float | None
    """Of those awaited."""
    lag: float | None
    """From the primary's notification of a push to that of its presence here; of the last one that arrived."""


@dataclass(frozen=True, slots=True)
class TagStatus:
    """One lease."""

    tag: str
    digest: str
    media_type: str
    age: float
    fresh: bool
    here: str
    """What is known of the digest at this site: present, absent, unknown or deleted."""


@dataclass(frozen=True, slots=True)
class AwaitedStatus:
    """A manifest on its way, `since` seconds ago."""

    digest: str
    since: float


@dataclass(frozen=True, slots=True)
class DigestStatus:
    """What is kept of one digest."""

    digest: str
    state: str
    confirmed: float | None
    """For present: seconds since it was last seen here."""
    deleted_as: str | None = None
    """`manifest` or `blob`: still deleted as that, though the primary served it as the other since; `state` is of the
    other."""


@dataclass(frozen=True, slots=True)
class NameStatus:
    """All that is held of one name."""

    name: str
    held: bool
    """False when nothing is."""
    figures: Figures
    marks: tuple[float, ...]
    """For each write under way: seconds until it is taken for ended, at the latest."""
    tags: tuple[TagStatus, ...]
    awaited: tuple[AwaitedStatus, ...]
    """The longest wait first."""
    digests: tuple[DigestStatus, ...]


def figures_of(record: Record, max_staleness: float) -> Figures:
    """`max_staleness` tells which leases are fresh."""
    states = Counter(each.state for each in record.digests.values())
    ages = [lease.age for lease in record.leases.values()]
    return Figures(
        dropped=record.dropped,
        leases=len(ages),
        fresh_leases=sum(_fresh(age, max_staleness) for age in ages),
        oldest_lease=max(ages, default=None),
        behind=_behind(record),
        present=states[DigestState.PRESENT],
        absent=states[DigestState.ABSENT],
        tombstones=states[DigestState.DELETED],
        awaited=len(record.awaited),
        longest_wait=max(record.awaited.values(), default=None),
        lag=record.lag,
    )


def status_of(record: Record, max_staleness: float) -> NameStatus:
    return NameStatus(
        name=record.name,
        held=record != Record(record.name),
        figures=figures_of(record, max_staleness),
        marks=record.marks,
        tags=tuple(
            TagStatus(
                tag=tag,
                digest=lease.digest,
                media_type=lease.media_type,
                age=lease.age,
                fresh=_fresh(lease.age, max_staleness),
                here=_state(record, lease.digest).value,
            )
            for tag, lease in sorted(record.leases.items())
        ),
        awaited=tuple(
            AwaitedStatus(digest, since)
            for digest, since in sorted(record.awaited.items(), key=lambda each: (-each[1], each[0]))
        ),
        digests=tuple(
            DigestStatus(
                digest, known.state.value, known.confirmed, known.deleted_as.value if known.deleted_as else None
            )
            for digest, known in sorted(record.digests.items())
        ),
    )


def _fresh(age: float, max_staleness: float) -> bool:
    # With 0 no lease is used, however young.
    return age <= max_staleness and max_staleness > 0


def _behind(record: Record) -> int:
    wanted = {lease.digest for lease in record.leases.values()} | set(record.awaited)
    settled = {DigestState.PRESENT, DigestState.DELETED}
    return sum(_state(record, digest) not in settled for digest in wanted)


def _state(record: Record, digest: Digest) -> DigestState:
    """As a manifest: a tag names nothing else."""
    known = record.digests.get(digest)
    return DigestState.UNKNOWN if known is None else known.state_as(ContentKind.MANIFEST)
