"""Records added up."""

from __future__ import annotations

from extproc.evidence.model import DigestState, Known, Lease, Record
from extproc.oci.reference import Digest, Name, Tag
from extproc.status.site import MOST_BEHIND, Behind, SiteSum
from tests.support.heads import INDEX

D1, D2 = (Digest(f"sha256:{digit * 64}") for digit in "12")


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def behind(name: str, count: int, wait: float = 1.0) -> Record:
    return Record(Name(name), awaited={digest(number): wait for number in range(count)})


def test_an_empty_site() -> None:
    status = SiteSum(60).status(cut=False)
    assert (status.names, status.cut, status.behind, status.most_behind) == (0, False, 0, ())
    assert (status.oldest_lease, status.longest_wait, status.median_lag, status.longest_lag) == (None,) * 4


def test_sums_and_extremes() -> None:
    total = SiteSum(60)
    total.add(Record(Name("a"), leases={Tag("t"): Lease(D1, INDEX, 70.0)}, digests={D1: Known(DigestState.ABSENT)}))
    total.add(
        Record(
            Name("b"),
            dropped=True,
            leases={Tag("t"): Lease(D1, INDEX, 5.0), Tag("u"): Lease(D2, INDEX, 6.0)},
            digests={D1: Known(DigestState.PRESENT, 1.0), D2: Known(DigestState.DELETED)},
            marks=(1.0, 2.0),
            lag=8.0,
        )
    )
    total.add(Record(Name("c"), awaited={D1: 3.0, D2: 4.0}, lag=2.0))
    total.add(Record(Name("d"), lag=3.0))
    status = total.status(cut=True)
    assert (status.names, status.cut, status.dropped_names) == (4, True, 1)
    assert (status.leases, status.fresh_leases, status.oldest_lease) == (3, 2, 70.0)
    assert (status.present, status.absent, status.tombstones, status.marks) == (1, 1, 1, 2)
    assert (status.behind, status.awaited, status.longest_wait) == (3, 2, 4.0)
    assert (status.median_lag, status.longest_lag) == (3.0, 8.0)
    assert status.most_behind == (Behind("c", 2, 2, 4.0), Behind("a", 1, 0, None))


def test_the_names_furthest_behind() -> None:
    total = SiteSum(60)
    for number in range(30):
        total.add(behind(f"n{number}", number))
    total.add(behind("tie", 29, wait=9.0))
    most = total.status(cut=False).most_behind
    assert len(most) == MOST_BEHIND
    assert [each.name for each in most] == ["tie", *(f"n{number}" for number in range(29, 20, -1))]
    assert total.status(cut=False).names == 31
