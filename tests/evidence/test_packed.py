from __future__ import annotations

import pytest

from extproc.evidence.model import DigestState, Snapshot
from extproc.evidence.packed import (
    PackedLease,
    any_mark,
    lease_parts,
    pack_digest,
    pack_mark,
    unpack_state,
)
from extproc.oci.reference import Digest
from tests.evidence.subject import D1, D3, MEDIA

TTL = 1000 * 1_000_000
NOW = 2_000 * 1_000_000


@pytest.mark.parametrize(("digest", "size"), [(D1, 33), (D3, 65)])
def test_a_digest_is_packed_into_its_bytes(digest: Digest, size: int) -> None:
    assert len(pack_digest(digest)) == size


def test_digests_of_two_algorithms_never_share_a_field() -> None:
    assert not pack_digest(D3).startswith(pack_digest(D1)[:1])


@pytest.mark.parametrize("digest", [D1, D3])
def test_a_lease_survives_packing(digest: Digest) -> None:
    head, tail = lease_parts(Snapshot(b"e" * 8, b"s" * 8, NOW), digest, MEDIA)
    assert PackedLease.unpack(head + b"n" * 8 + tail) == PackedLease(NOW, b"n" * 8, b"s" * 8, digest, MEDIA)


@pytest.mark.parametrize(
    ("packed", "marked"),
    [
        pytest.param(b"", False, id="none"),
        pytest.param(pack_mark("m") + NOW.to_bytes(8, "big"), False, id="expires-now"),
        pytest.param(pack_mark("m") + (NOW + 1).to_bytes(8, "big"), True, id="later"),
        pytest.param(
            pack_mark("a") + bytes(8) + pack_mark("b") + (NOW + 1).to_bytes(8, "big"), True, id="second-of-two"
        ),
    ],
)
def test_marks(packed: bytes, marked: bool) -> None:
    assert any_mark(packed, NOW) is marked


def _seconds(kind: bytes, at: int) -> bytes:
    return kind + (at // 1_000_000).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "alone", "dropped"),
    [
        pytest.param(None, DigestState.UNKNOWN, DigestState.DELETED, id="nothing"),
        pytest.param(b"x", DigestState.DELETED, DigestState.DELETED, id="tombstone"),
        pytest.param(_seconds(b"p", NOW), DigestState.PRESENT, DigestState.PRESENT, id="present"),
        pytest.param(_seconds(b"p", NOW - TTL - 10**6), DigestState.UNKNOWN, DigestState.DELETED, id="old"),
        pytest.param(_seconds(b"l", NOW), DigestState.UNKNOWN, DigestState.UNKNOWN, id="lifted"),
        pytest.param(b"a" + (NOW + 1).to_bytes(8, "big"), DigestState.ABSENT, DigestState.ABSENT, id="absent"),
        pytest.param(b"a" + NOW.to_bytes(8, "big"), DigestState.UNKNOWN, DigestState.UNKNOWN, id="no-longer-absent"),
    ],
)
def test_states(data: bytes | None, alone: DigestState, dropped: DigestState) -> None:
    assert unpack_state(data, False, NOW, TTL)[0] is alone
    assert unpack_state(data, True, NOW, TTL)[0] is dropped


def test_only_present_has_an_age() -> None:
    assert unpack_state(_seconds(b"p", NOW - 5_000_000), False, NOW, TTL)[1] == 5.0
    assert unpack_state(_seconds(b"p", NOW + 5_000_000), False, NOW, TTL)[1] == 0.0
    assert unpack_state(_seconds(b"l", NOW), True, NOW, TTL)[1] is None
