"""The bytes in which Redis keeps evidence (docs/evidence.md, "Layout"). Pure; the scripts read the same shapes.

Packed because the store holds a field for each digest seen: 34 bytes of key instead of 71.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from extproc.evidence.model import ContentKind, DigestState, Known, Lease, Record, Snapshot
from extproc.oci.reference import Digest, Name, Tag

TOKEN_SIZE: Final = 8
"""Bytes of an epoch or a generation: random, compared for equality only."""
_SIZES: Final = {1: ("sha256", 32), 2: ("sha512", 64)}
KINDS: Final = {b"m": ContentKind.MANIFEST, b"b": ContentKind.BLOB}
"""As what a digest is still deleted, behind what else is known of it."""
_SECONDS: Final = 4
_MICROS: Final = 8
_LEASE: Final = struct.Struct(f">Q{TOKEN_SIZE}s{TOKEN_SIZE}s")
_MARK: Final = struct.Struct(">16sQ")


def pack_digest(digest: Digest) -> bytes:
    """One byte for the algorithm, then the raw digest."""
    # By what it begins with: its properties are calls, and one is packed for each look-up.
    return (b"\x01" if digest.startswith("sha256:") else b"\x02") + bytes.fromhex(digest[7:])


@lru_cache(maxsize=4096)
def _leased_digest(data: bytes) -> Digest:
    # The images in use are few, and their tags are read again and again.
    return _unpack_digest(data)[0]


def _unpack_digest(data: bytes) -> tuple[Digest, int]:
    algorithm, size = _SIZES[data[0]]
    return Digest(f"{algorithm}:{data[1 : 1 + size].hex()}"), 1 + size


def pack_mark(mark: str) -> bytes:
    """Sixteen bytes, so that a name's marks are a list of records of one size."""
    return hashlib.blake2b(mark.encode(), digest_size=16).digest()


def any_mark(packed: bytes, now: int) -> bool:
    """Whether a mark of the list has not expired at `now` (microseconds)."""
    return any(expiry > now for _, expiry in _marks(packed))


def _marks(packed: bytes) -> Iterator[tuple[bytes, int]]:
    yield from _MARK.iter_unpack(packed)


@dataclass(init=False, slots=True)
class PackedLease:
    """A tag's lease as kept: it holds while both of its generations are the current ones."""

    sent_at: int
    name_generation: bytes
    site_generation: bytes
    digest: Digest
    media_type: str

    def __init__(
        self,
        sent_at: int,
        name_generation: bytes,
        site_generation: bytes,
        digest: Digest,
        media_type: str,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.sent_at = sent_at
        self.name_generation = name_generation
        self.site_generation = site_generation
        self.digest = digest
        self.media_type = media_type

    @staticmethod
    def unpack(data: bytes) -> PackedLease:
        sent_at, name_generation, site_generation = _LEASE.unpack_from(data)
        end = _LEASE.size + 1 + _SIZES[data[_LEASE.size]][1]
        digest = _leased_digest(data[_LEASE.size : end])
        return PackedLease(sent_at, name_generation, site_generation, digest, data[end:].decode())

    def held(self, site_generation: bytes, now: int, name_ttl: int) -> Lease | None:
        """The lease, when it holds but for the name's generation. Times in microseconds."""
        age = now - self.sent_at
        # A negative age is another node's clock: how old the lease is, nobody knows.
        if self.site_generation != site_generation or not 0 <= age <= name_ttl:
            return None
        return Lease(self.digest, self.media_type, age / 1e6)


def lease_parts(snapshot: Snapshot, digest: Digest, media_type: str) -> tuple[bytes, bytes]:
    """What comes before and after the name's generation, which only the script knows."""
    return snapshot.at.to_bytes(8, "big"), snapshot.generation + pack_digest(digest) + media_type.encode()


def unpack_state(data: bytes | None, dropped: bool, now: int, name_ttl: int) -> Known:
    """What is known of a digest at `now`. Times in microseconds.

    `dropped`: the whole name was; then only a digest that the primary served since has a field.
    """
    if data is None:
        return Known(DigestState.DELETED if dropped else DigestState.UNKNOWN)
    state = data[:1]
    if state == b"x":
        return Known(DigestState.DELETED)
    end = 1 + _SECONDS if state != b"a" else 1 + _MICROS
    at = int.from_bytes(data[1:end], "big") * (1 if state == b"a" else 1_000_000)
    deleted_as = KINDS.get(data[end:])
    if at + name_ttl < now:
        return Known(DigestState.DELETED) if dropped else Known(DigestState.UNKNOWN, deleted_as=deleted_as)
    if state == b"p":
        return Known(DigestState.PRESENT, max(now - at, 0) / 1e6, deleted_as)
    if state == b"a" and at > now:
        return Known(DigestState.ABSENT, deleted_as=deleted_as)
    return Known(DigestState.UNKNOWN, deleted_as=deleted_as)


def unpack_record(
    name: Name, fields: Mapping[bytes, bytes], site_generation: bytes, now: int, name_ttl: int
) -> Record:
    """All fields of a name's hash at `now`. Times in microseconds. Fields of a later layout are left alone."""
    leases: dict[Tag, Lease] = {}
    digests: dict[Digest, Known] = {}
    awaited: dict[Digest, float] = {}
    dropped = b"g" in fields
    for key, value in fields.items():
        if key[:2] == b"t:":
            lease = PackedLease.unpack(value)
            held = lease.held(site_generation, now, name_ttl)
            if held is not None and lease.name_generation == fields.get(b"l"):
                leases[Tag(key[2:].decode())] = held
        elif key[:1] == b"d":
            known = unpack_state(value, dropped, now, name_ttl)
            if known != Known(DigestState.UNKNOWN):
                digests[_unpack_digest(key[1:])[0]] = known
        elif key[:1] == b"w":
            age = max(now - int.from_bytes(value, "big"), 0)
            if age <= name_ttl:
                awaited[_unpack_digest(key[1:])[0]] = age / 1e6
    marks = sorted((expiry - now) / 1e6 for _, expiry in _marks(fields.get(b"m", b"")) if expiry > now)
    lag = fields.get(b"r")
    return Record(
        name,
        dropped=dropped,
        leases=leases,
        digests=digests,
        marks=tuple(marks),
        awaited=awaited,
        lag=None if lag is None else int.from_bytes(lag, "big") / 1e6,
    )
