from __future__ import annotations

import pytest

from extproc.evidence.model import ContentKind, DigestState, Known, Lease, Record, Snapshot
from extproc.evidence.packed import (
    KINDS,
    PackedLease,
    any_mark,
    lease_parts,
    pack_digest,
    pack_mark,
    unpack_record,
    unpack_state,
)
from extproc.oci.reference import Digest
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, TAG

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
    assert unpack_state(data, False, NOW, TTL).state is alone
    assert unpack_state(data, True, NOW, TTL).state is dropped


@pytest.mark.parametrize("kind", KINDS.values())
def test_what_is_deleted_as_one_kind(kind: ContentKind) -> None:
    (behind,) = [packed for packed, each in KINDS.items() if each is kind]
    past = NOW - TTL - 10**6
    for data, alone, dropped in (
        (_seconds(b"p", NOW - 5_000_000), Known(DigestState.PRESENT, 5.0, kind), None),
        (b"a" + (NOW + 1).to_bytes(8, "big"), Known(DigestState.ABSENT, deleted_as=kind), None),
        (_seconds(b"l", NOW), Known(DigestState.UNKNOWN, deleted_as=kind), None),
        (_seconds(b"l", past), Known(DigestState.UNKNOWN, deleted_as=kind), Known(DigestState.DELETED)),
        (b"a" + past.to_bytes(8, "big"), Known(DigestState.UNKNOWN, deleted_as=kind), Known(DigestState.DELETED)),
    ):
        assert unpack_state(data + behind, False, NOW, TTL) == alone
        assert unpack_state(data + behind, True, NOW, TTL) == (dropped or alone)


def test_only_present_has_an_age() -> None:
    assert unpack_state(_seconds(b"p", NOW - 5_000_000), False, NOW, TTL).confirmed == 5.0
    assert unpack_state(_seconds(b"p", NOW + 5_000_000), False, NOW, TTL).confirmed == 0.0
    assert unpack_state(_seconds(b"l", NOW), True, NOW, TTL).confirmed is None


# Records


def _lease(sent_at: int, name: bytes = b"n" * 8, site: bytes = b"s" * 8) -> bytes:
    head, tail = lease_parts(Snapshot(b"e" * 8, site, sent_at), D3, MEDIA)
    return head + name + tail


def _record(**fields: bytes) -> Record:
    return unpack_record(NAME, {b"l": b"n" * 8, **{k.encode(): v for k, v in fields.items()}}, b"s" * 8, NOW, TTL)


def test_no_fields_are_an_empty_record() -> None:
    assert unpack_record(NAME, {}, b"", NOW, TTL) == Record(NAME)


@pytest.mark.parametrize(
    ("lease", "age"),
    [
        pytest.param(_lease(NOW - 5_000_000), 5.0, id="held"),
        pytest.param(_lease(NOW - TTL), TTL / 1e6, id="just-held"),
        pytest.param(_lease(NOW - TTL - 1), None, id="forgotten"),
        pytest.param(_lease(NOW + 1), None, id="from-the-future"),
        pytest.param(_lease(NOW, name=b"o" * 8), None, id="all-dropped-since"),
        pytest.param(_lease(NOW, site=b"o" * 8), None, id="void"),
    ],
)
def test_a_record_has_the_leases_that_hold(lease: bytes, age: float | None) -> None:
    leases = _record(**{"t:v1": lease}).leases
    assert leases == ({} if age is None else {TAG: Lease(D3, MEDIA, age)})


def test_without_a_generation_of_the_site_no_lease_holds() -> None:
    fields = {b"l": b"n" * 8, b"t:v1": _lease(NOW)}
    assert unpack_record(NAME, fields, b"", NOW, TTL).leases == {}


def test_without_a_generation_of_the_name_no_lease_holds() -> None:
    assert unpack_record(NAME, {b"t:v1": _lease(NOW)}, b"s" * 8, NOW, TTL).leases == {}


def test_a_record_of_digests_awaited_ones_and_marks() -> None:
    since = (NOW - 5_000_000).to_bytes(8, "big")
    fields = {
        b"e": b"e" * 8,
        b"x": b"1",
        b"m": pack_mark("a") + (NOW + 9_000_000).to_bytes(8, "big") + pack_mark("b") + NOW.to_bytes(8, "big"),
        b"r": (1_500_000).to_bytes(8, "big"),
        b"d" + pack_digest(D1): _seconds(b"p", NOW - 5_000_000),
        b"d" + pack_digest(D2): b"x",
        b"d" + pack_digest(D3): b"a" + NOW.to_bytes(8, "big"),
        b"w" + pack_digest(D3): since,
        b"w" + pack_digest(D2): (NOW - TTL - 1).to_bytes(8, "big"),
        b"w" + pack_digest(D1): (NOW + 1).to_bytes(8, "big"),
        b"?": b"of a later layout",
    }
    assert unpack_record(NAME, fields, b"s" * 8, NOW, TTL) == Record(
        NAME,
        digests={D1: Known(DigestState.PRESENT, 5.0), D2: Known(DigestState.DELETED)},
        marks=(9.0,),
        awaited={D3: 5.0, D1: 0.0},
        lag=1.5,
    )


def test_the_record_of_a_dropped_name_leaves_out_what_is_lifted_only() -> None:
    fields = {b"g": b"1", b"d" + pack_digest(D1): _seconds(b"l", NOW), b"d" + pack_digest(D2): _seconds(b"p", NOW)}
    record = unpack_record(NAME, fields, b"", NOW, TTL)
    assert record.dropped
    assert set(record.digests) == {D2}
