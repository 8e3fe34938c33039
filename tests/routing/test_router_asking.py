"""The router where no task waits for evidence: it decides the same, and a fault is its own request's alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Lease, Snapshot, Unavailable
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.reason import Reason
from extproc.routing.router import Interest, NoInterest, Pending, Routed, Router
from tests.routing.test_router import ADMIN, BLOB_PATH, D1, DIGEST_PATH, INDEX, NAME, POLICY, TAG_PATH, Site
from tests.support.heads import request

NOTHING = Evidence(Snapshot(b"e", b"g", 1), False, None, DigestState.UNKNOWN)


@dataclass
class Told:
    """Facts that are asked so, and told by the test."""

    then: Callable[[Evidence | Exception], None] | None = None

    def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> None:
        self.then = then

    def tell(self, outcome: Evidence | Exception) -> None:
        assert self.then is not None
        self.then(outcome)


def asking_router(site: Site, interest: Interest | None = None) -> tuple[Router, Told]:
    told = Told()
    router = Router(
        verifier=site.verifier,
        facts=site.store,
        writes=site.backlog,
        policy=POLICY,
        now=site.clock,
        interest=interest,
        asking=told,
    )
    return router, told


def begun(router: Router, path: str, method: str = "GET") -> Pending:
    pending = router.begin(request(method, path))
    assert isinstance(pending, Pending)
    return pending


@pytest.mark.parametrize(
    ("digest", "lease"),
    [
        pytest.param(DigestState.PRESENT, None, id="present"),
        pytest.param(DigestState.ABSENT, None, id="absent"),
        pytest.param(DigestState.DELETED, None, id="deleted"),
        pytest.param(DigestState.UNKNOWN, None, id="unknown"),
        pytest.param(DigestState.PRESENT, Lease(D1, INDEX, 5.0), id="leased"),
        pytest.param(DigestState.PRESENT, Lease(D1, INDEX, 500.0), id="an old lease"),
    ],
)
@pytest.mark.parametrize("path", [TAG_PATH, DIGEST_PATH, BLOB_PATH])
async def test_it_decides_the_same(path: str, digest: DigestState, lease: Lease | None) -> None:
    evidence = Evidence(Snapshot(b"e", b"g", 1), False, lease, digest, 1.0)

    class Knowing(MemoryStore):
        async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
            return evidence

    site = Site()
    router, told = asking_router(site)
    found: list[object] = []
    pending = begun(router, path)
    assert router.asks(pending)
    router.ask(pending, found.append)
    assert found == []
    told.tell(evidence)
    by_task = Router(
        verifier=site.verifier, facts=Knowing(absent_ttl=5), writes=site.backlog, policy=POLICY, now=site.clock
    )
    assert found == [await by_task.route(request("GET", path))]


async def test_a_store_that_fails_is_no_evidence() -> None:
    router, told = asking_router(Site())
    found: list[object] = []
    router.ask(begun(router, BLOB_PATH), found.append)
    told.tell(StoreUnavailable("slow"))
    (routed,) = found
    assert isinstance(routed, Routed)
    assert (routed.decision.reason, routed.evidence) == (Reason.EVIDENCE_UNAVAILABLE, Unavailable("slow"))


class Broken(NoInterest):
    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        raise RuntimeError("ours")


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        pytest.param(ValueError("theirs"), "ValueError('theirs')", id="of the store"),
        pytest.param(NOTHING, "RuntimeError('ours')", id="while it is decided"),
    ],
)
async def test_a_fault_is_told_and_does_not_escape(outcome: Evidence | Exception, fault: str) -> None:
    router, told = asking_router(Site(), Broken())
    found: list[object] = []
    router.ask(begun(router, TAG_PATH), found.append)
    told.tell(outcome)
    assert [repr(each) for each in found] == [fault]


async def test_a_write_is_not_asked_so() -> None:
    router, _ = asking_router(Site(verdict=ADMIN))
    assert not router.asks(begun(router, TAG_PATH, "PUT"))


async def test_nor_is_a_name_of_which_this_worker_knows_better() -> None:
    site = Site()
    router, _ = asking_router(site)
    read = begun(router, TAG_PATH)
    assert router.asks(read)
    site.store.broken = True
    await site.backlog.begin_write(NAME, "m", Invalidation(), 10.0)
    assert not router.asks(read)


async def test_nor_a_store_that_cannot_be() -> None:
    router = Site().router()
    assert not router.asks(begun(router, TAG_PATH))
