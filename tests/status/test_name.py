"""A record in figures: each word of docs/status.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import pytest

from extproc.evidence.model import ContentKind, DigestState, Known, Lease, Record
from extproc.oci.reference import Digest, Name, Tag
from extproc.status.name import AwaitedStatus, DigestStatus, TagStatus, figures_of, status_of
from tests.support.heads import INDEX

NAME = Name("g/app")
D1, D2, D3 = (Digest(f"sha256:{digit * 64}") for digit in "123")
PRESENT, ABSENT, DELETED = Known(DigestState.PRESENT, 5.0), Known(DigestState.ABSENT), Known(DigestState.DELETED)


def leased(*digests: Digest, age: float = 1.0) -> dict[Tag, Lease]:
    return {Tag(f"t{number}"): Lease(digest, INDEX, age) for number, digest in enumerate(digests)}


@pytest.mark.parametrize(
    ("leases", "digests", "awaited", "behind"),
    [
        pytest.param({}, {}, {}, 0, id="nothing is known"),
        pytest.param(leased(D1), {D1: PRESENT}, {}, 0, id="here"),
        pytest.param(leased(D1), {}, {}, 1, id="not known to be here"),
        pytest.param(leased(D1), {D1: ABSENT}, {}, 1, id="not here"),
        pytest.param(leased(D1), {D1: DELETED}, {}, 0, id="deleted: it is not to be here"),
        pytest.param(leased(D1, D1, D1), {}, {}, 1, id="three tags of one manifest"),
        pytest.param(leased(D1), {}, {D1: 3.0}, 1, id="leased and awaited"),
        pytest.param(leased(D1), {}, {D2: 3.0}, 2, id="leased, and another awaited"),
        pytest.param({}, {D1: PRESENT}, {D1: 3.0}, 0, id="awaited, but here"),
        pytest.param({}, {D1: PRESENT, D2: ABSENT, D3: DELETED}, {}, 0, id="nobody names them"),
        pytest.param(leased(D1, age=1e6), {}, {}, 1, id="an old lease still names it"),
    ],
)
def test_behind(
    leases: Mapping[Tag, Lease], digests: Mapping[Digest, Known], awaited: Mapping[Digest, float], behind: int
) -> None:
    assert figures_of(Record(NAME, leases=leases, digests=digests, awaited=awaited), 60).behind == behind


@pytest.mark.parametrize(
    ("age", "max_staleness", "fresh"),
    [
        pytest.param(0.0, 60, 1, id="new"),
        pytest.param(60.0, 60, 1, id="as old as it may be"),
        pytest.param(60.1, 60, 0, id="too old"),
        pytest.param(0.0, 0, 0, id="none is used"),
    ],
)
def test_fresh(age: float, max_staleness: float, fresh: int) -> None:
    figures = figures_of(Record(NAME, leases=leased(D1, age=age)), max_staleness)
    assert (figures.leases, figures.fresh_leases, figures.oldest_lease) == (1, fresh, age)


def test_counts() -> None:
    record = Record(
        NAME,
        dropped=True,
        leases={Tag("a"): Lease(D1, INDEX, 3.0), Tag("b"): Lease(D2, INDEX, 90.0)},
        digests={D1: PRESENT, D2: ABSENT, D3: DELETED},
        marks=(4.0, 9.0),
        awaited={D2: 20.0, D3: 30.0},
        lag=2.5,
    )
    assert asdict(figures_of(record, 60)) == {
        "dropped": True,
        "leases": 2,
        "fresh_leases": 1,
        "oldest_lease": 90.0,
        "behind": 1,
        "present": 1,
        "absent": 1,
        "tombstones": 1,
        "awaited": 2,
        "longest_wait": 30.0,
        "lag": 2.5,
    }
    status = status_of(record, 60)
    assert status.held
    assert status.marks == (4.0, 9.0)
    assert status.tags == (
        TagStatus("a", D1, INDEX, 3.0, True, "present"),
        TagStatus("b", D2, INDEX, 90.0, False, "absent"),
    )
    assert status.awaited == (AwaitedStatus(D3, 30.0), AwaitedStatus(D2, 20.0))
    assert status.digests == (
        DigestStatus(D1, "present", 5.0),
        DigestStatus(D2, "absent", None),
        DigestStatus(D3, "deleted", None),
    )


def test_a_manifest_that_is_deleted_though_its_blob_is_here() -> None:
    """A tag's digest is read as a manifest, whatever is known of a blob of the same digest."""
    record = Record(
        NAME,
        leases={Tag("a"): Lease(D1, INDEX, 3.0), Tag("b"): Lease(D2, INDEX, 3.0)},
        digests={
            D1: Known(DigestState.PRESENT, 5.0, deleted_as=ContentKind.MANIFEST),
            D2: Known(DigestState.PRESENT, 5.0, deleted_as=ContentKind.BLOB),
            D3: Known(DigestState.UNKNOWN, deleted_as=ContentKind.BLOB),
        },
    )
    status = status_of(record, 60)
    assert [tag.here for tag in status.tags] == ["deleted", "present"]
    assert (status.figures.behind, status.figures.tombstones) == (0, 0)
    assert status.digests == (
        DigestStatus(D1, "present", 5.0, "manifest"),
        DigestStatus(D2, "present", 5.0, "blob"),
        DigestStatus(D3, "unknown", None, "blob"),
    )


def test_nothing() -> None:
    status = status_of(Record(NAME), 60)
    assert not status.held
    assert (status.figures.oldest_lease, status.figures.longest_wait, status.figures.lag) == (None, None, None)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Record(NAME, dropped=True), id="dropped"),
        pytest.param(Record(NAME, marks=(1.0,)), id="a mark"),
        pytest.param(Record(NAME, awaited={D1: 1.0}), id="awaited"),
        pytest.param(Record(NAME, digests={D1: DELETED}), id="a tombstone"),
        pytest.param(Record(NAME, lag=1.0), id="a lag"),
    ],
)
def test_something(record: Record) -> None:
    assert status_of(record, 60).held


def test_all_of_it_is_plain_json() -> None:
    record = Record(NAME, leases=leased(D1), digests={D1: PRESENT}, awaited={D2: 1.0}, marks=(1.0,))
    document = asdict(status_of(record, 60))
    assert json.loads(json.dumps(document)) == json.loads(json.dumps(document, default=str))
    assert type(document["tags"][0]["here"]) is str
