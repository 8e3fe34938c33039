"""The router where no task waits for evidence: it decides the same, and a fault is its own request's alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Lease, Snapshot, Unavailable
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.reason import Reason
from extproc.routing.router import Interest, Pending, Routed, Router
from tests.routing.test_router import ADMIN, BLOB_PATH, D1, DIGEST_PATH, INDEX, NAME, POLICY, TAG_PATH, Site
from tests.routing.test_router import Interest as Heard
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


class Broken:
    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        raise RuntimeError("ours")

    def tag_written(self, name: Name, tag: Tag) -> None:
        pass


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


async def test_a_verdict_before_ask_returns() -> None:
    class AtOnce(Told):
        def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> None:
            then(NOTHING)

    site = Site()
    router = Router(
        verifier=site.verifier, facts=site.store, writes=site.backlog, policy=POLICY, now=site.clock, asking=AtOnce()
    )
    found: list[object] = []
    router.ask(begun(router, DIGEST_PATH), found.append)
    (routed,) = found
    assert isinstance(routed, Routed)
    assert routed.decision.reason is Reason.DIGEST_UNKNOWN


async def test_the_accepted_types_are_the_requests_own() -> None:
    """A narrow one does not use a lease of another type, whoever looks it up."""
    leased = replace(NOTHING, lease=Lease(D1, INDEX, 5.0), digest=DigestState.PRESENT)
    router, told = asking_router(Site())
    reasons = []
    for accept in ((INDEX,), ("application/vnd.docker.distribution.manifest.v2+json",)):
        pending = router.begin(request("GET", TAG_PATH, accept=accept))
        assert isinstance(pending, Pending)
        found: list[Routed | Exception] = []
        router.ask(pending, found.append)
        told.tell(leased)
        (routed,) = found
        assert isinstance(routed, Routed)
        reasons.append(routed.decision.reason)
    assert reasons == [Reason.TAG_VERIFIED, Reason.TAG_UNVERIFIED]


async def test_an_exchange_ends_by_the_policy_that_it_began_by() -> None:
    router, told = asking_router(Site())
    found: list[Routed | Exception] = []
    router.ask(begun(router, TAG_PATH), found.append)
    router.adopt(replace(POLICY, max_staleness=1))
    told.tell(replace(NOTHING, lease=Lease(D1, INDEX, 5.0), digest=DigestState.PRESENT))
    (routed,) = found
    assert isinstance(routed, Routed)
    assert routed.decision.reason is Reason.TAG_VERIFIED


async def test_a_tag_read_is_interest_and_a_failure_or_a_digest_is_none() -> None:
    interest = Heard()
    router, told = asking_router(Site(), interest)
    for path, outcome in (
        (TAG_PATH, StoreUnavailable("slow")),
        (TAG_PATH, ValueError("theirs")),
        (DIGEST_PATH, NOTHING),
        (TAG_PATH, NOTHING),
        (TAG_PATH, replace(NOTHING, lease=Lease(D1, INDEX, 5.0))),
    ):
        router.ask(begun(router, path), lambda _: None)
        told.tell(outcome)
    latest = Tag("latest")
    assert interest.heard == [("read", NAME, latest, None), ("read", NAME, latest, D1)]


@pytest.mark.parametrize("able", [True, False])
async def test_what_is_not_looked_up_so_is_refused_before_anything_is_asked(able: bool) -> None:
    """It would be a write that the store is not told of."""
    site = Site(verdict=ADMIN)
    router, told = asking_router(site) if able else (site.router(), Told())
    with pytest.raises(AssertionError, match="is not looked up so"):
        router.ask(begun(router, TAG_PATH, "PUT"), lambda _: None)
    assert told.then is None
