"""The router on a real store in memory: what it asks, learns, and does around a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Lease, Observation, Snapshot
from extproc.evidence.store import StoreUnavailable
from extproc.oci.operation import Kind, Operation
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.router import MARK_MARGIN, Router
from tests.support.clock import Clock
from tests.support.heads import request, response

NAME = Name("g/app")
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
TAG_PATH = "/v2/g/app/manifests/latest"
DIGEST_PATH = f"/v2/g/app/manifests/{D1}"
BLOB_PATH = f"/v2/g/app/blobs/{D1}"
INDEX = "application/vnd.oci.image.index.v1+json"


class Failing(MemoryStore):
    """Fails while `broken`."""

    broken = False

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        self._check()
        return await super().decide(name, reference)

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        self._check()
        return await super().learn(name, snapshot, seen)

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        self._check()
        await super().begin_write(name, mark, what, ttl)

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        self._check()
        await super().end_write(name, mark, what)

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("broken on purpose")


@dataclass
class Verifier:
    """Gives the same verdict to each credential, and remembers what it was asked."""

    verdict: Grant | Rejection
    asked: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def verify(self, authorization: Sequence[str], now: float) -> Grant | Rejection:
        self.asked.append((tuple(authorization), now))
        return self.verdict


PULL = Grant(frozenset({Access("repository", "g/app", "pull")}), 1e12)
ADMIN = Grant(frozenset({Access("repository", "g/app", "*"), Access("repository", "g/app", "delete")}), 1e12)
POLICY = Policy(max_staleness=60, write_timeout=10)


@dataclass
class Site:
    """One worker and the store it shares."""

    clock: Clock = field(default_factory=Clock)
    verdict: Grant | Rejection | None = PULL

    def __post_init__(self) -> None:
        self.store = Failing(absent_ttl=5, clock=self.clock)
        self.backlog = Backlog(self.store)
        self.verifier = None if self.verdict is None else Verifier(self.verdict)

    def router(self, verdict: Grant | Rejection | None = None) -> Router:
        verifier = Verifier(verdict) if verdict is not None else self.verifier
        return Router(verifier=verifier, facts=self.store, writes=self.backlog, policy=POLICY, now=self.clock)


async def read_tag(site: Site, digest: Digest = D1) -> Forward:
    """A whole exchange: the tag is read, and the primary answers `digest` if it is asked."""
    routed = await site.router().route(request("GET", TAG_PATH))
    assert isinstance(routed.decision, Forward)
    if routed.wants_response:
        place = "primary" if routed.decision.route is Route.PRIMARY else "secondary"
        await site.router().observe(routed, response(200, place, digest=digest))
    return routed.decision


async def test_a_tag_warms_itself_by_traffic() -> None:
    site = Site()
    assert (await read_tag(site)).reason is Reason.TAG_UNVERIFIED
    second = await read_tag(site)
    assert (second.reason, second.route, second.pin) == (Reason.TAG_VERIFIED, Route.SECONDARY, D1)
    third = await read_tag(site)
    assert (third.reason, third.observe) == (Reason.TAG_VERIFIED, False)
    site.clock.advance(60.5)
    assert (await read_tag(site)).reason is Reason.TAG_STALE
    assert (await read_tag(site)).reason is Reason.TAG_VERIFIED


async def test_a_lease_counts_from_the_request_not_from_the_answer() -> None:
    site = Site()
    routed = await site.router().route(request("GET", TAG_PATH))
    site.clock.advance(59)
    await site.router().observe(routed, response(200, "primary", digest=D1))
    site.clock.advance(2)
    assert (await read_tag(site)).reason is Reason.TAG_STALE


async def test_a_narrow_accept_neither_learns_nor_uses() -> None:
    site = Site()
    narrow = request("GET", TAG_PATH, accept=("application/vnd.docker.distribution.manifest.v2+json",))
    routed = await site.router().route(narrow)
    assert not routed.wants_response
    await read_tag(site)
    routed = await site.router().route(narrow)
    assert routed.decision == Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED)


async def test_a_write_is_seen_by_the_next_read() -> None:
    site = Site()
    await read_tag(site)
    put = await site.router(ADMIN).route(request("PUT", TAG_PATH))
    assert put.decision == Forward(Route.PRIMARY, Reason.WRITE, invalidation=Invalidation(tag=Tag("latest")))
    assert put.wants_response
    # While it is under way: to the primary, and nothing is learned.
    during = await site.router().route(request("GET", TAG_PATH))
    assert during.decision == Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED)
    assert not during.wants_response
    await site.router().observe(put, response(201, "primary"))
    assert (await read_tag(site, D2)).reason is Reason.TAG_UNVERIFIED
    assert (await read_tag(site, D2)).pin == D2


async def test_a_read_that_began_before_a_write_teaches_nothing_after_it() -> None:
    site = Site()
    slow = await site.router().route(request("GET", TAG_PATH))
    put = await site.router(ADMIN).route(request("PUT", TAG_PATH))
    await site.router().observe(put, response(201, "primary"))
    await site.router().observe(slow, response(200, "primary", digest=D1))
    assert (await read_tag(site, D2)).reason is Reason.TAG_UNVERIFIED


async def test_an_unfinished_write_keeps_its_mark_until_it_must_be_over() -> None:
    site = Site()
    await site.router(ADMIN).route(request("PUT", TAG_PATH))
    site.clock.advance(POLICY.write_timeout + MARK_MARGIN - 0.1)
    assert not (await site.router().route(request("GET", TAG_PATH))).wants_response
    site.clock.advance(0.2)
    assert (await site.router().route(request("GET", TAG_PATH))).wants_response


async def test_a_deleted_digest_is_never_served_here_until_the_primary_serves_it_again() -> None:
    site = Site()
    delete = await site.router(ADMIN).route(request("DELETE", DIGEST_PATH))
    await site.router().observe(delete, response(202, "primary"))
    routed = await site.router().route(request("GET", DIGEST_PATH))
    assert routed.decision == Forward(Route.PRIMARY, Reason.DIGEST_DELETED, observe=True)
    await site.router().observe(routed, response(404, "primary"))
    routed = await site.router().route(request("GET", DIGEST_PATH))
    assert routed.decision.reason is Reason.DIGEST_DELETED
    await site.router().observe(routed, response(200, "primary", digest=D1))
    assert (await site.router().route(request("GET", DIGEST_PATH))).decision.reason is Reason.DIGEST_UNKNOWN


@pytest.mark.parametrize(
    ("read", "other"),
    [
        pytest.param(BLOB_PATH, DIGEST_PATH, id="blob"),
        pytest.param(DIGEST_PATH, BLOB_PATH, id="manifest"),
    ],
)
async def test_what_the_primary_serves_as_one_kind_stays_deleted_as_the_other(read: str, other: str) -> None:
    """A manifest that was also pushed as a blob, and then deleted as a manifest, or the other way round."""
    site = Site()
    await read_tag(site)
    delete = await site.router(ADMIN).route(request("DELETE", DIGEST_PATH))
    await site.router().observe(delete, response(202, "primary"))
    await site.store.secondary_has(NAME, [D1])
    routed = await site.router().route(request("GET", read))
    assert routed.decision.reason is Reason.DIGEST_DELETED
    await site.router().observe(routed, response(200, "primary", digest=D1))
    assert (await site.router().route(request("GET", read))).decision.reason is Reason.DIGEST_UNKNOWN
    assert (await site.router().route(request("GET", other))).decision.reason is Reason.DIGEST_DELETED


async def test_a_tag_is_not_served_as_a_manifest_that_only_its_blob_is_left_of() -> None:
    site = Site()
    delete = await site.router(ADMIN).route(request("DELETE", DIGEST_PATH))
    await site.router().observe(delete, response(202, "primary"))
    routed = await site.router().route(request("GET", BLOB_PATH))
    await site.router().observe(routed, response(200, "primary", digest=D1))
    # Reconcile takes leases of a listing, which is no proof of the manifest.
    snapshot = (await site.store.decide(NAME, Tag("latest"))).snapshot
    await site.store.learn(NAME, snapshot, Observation(D1, tag=Tag("latest"), media_type=INDEX))
    decision = (await site.router().route(request("GET", TAG_PATH))).decision
    assert decision == Forward(Route.PRIMARY, Reason.DIGEST_DELETED, observe=True)


async def test_a_fallback_demotes_the_digest_for_a_moment() -> None:
    site = Site()
    routed = await site.router().route(request("GET", DIGEST_PATH))
    await site.router().observe(routed, response(200, "primary", digest=D1, attempts=2))
    assert (await site.router().route(request("GET", DIGEST_PATH))).decision.reason is Reason.DIGEST_ABSENT
    site.clock.advance(5.1)
    assert (await site.router().route(request("GET", DIGEST_PATH))).decision.reason is Reason.DIGEST_UNKNOWN


async def test_an_answer_that_proves_nothing_teaches_nothing() -> None:
    site = Site()
    routed = await site.router().route(request("GET", DIGEST_PATH))
    await site.router().observe(routed, response(304, "secondary"))
    assert (await site.store.decide(NAME, D1)).digest is DigestState.UNKNOWN


async def test_a_store_that_fails_costs_speed_only() -> None:
    site = Site()
    await read_tag(site)
    routed = await site.router().route(request("GET", DIGEST_PATH))
    site.store.broken = True
    await site.router().observe(routed, response(200, "secondary", digest=D1))
    broken = await site.router().route(request("GET", TAG_PATH))
    assert broken.decision == Forward(Route.PRIMARY, Reason.EVIDENCE_UNAVAILABLE)
    site.store.broken = False
    assert (await read_tag(site)).reason is Reason.TAG_VERIFIED


async def test_a_write_that_the_store_missed_blocks_its_name_in_this_worker() -> None:
    site = Site()
    await read_tag(site)
    slow = await site.router().route(request("GET", DIGEST_PATH))
    site.store.broken = True
    put = await site.router(ADMIN).route(request("PUT", TAG_PATH))
    assert put.decision.reason is Reason.WRITE
    site.store.broken = False
    assert (await read_tag(site)).reason is Reason.EVIDENCE_UNAVAILABLE
    # Nor is anything learned meanwhile: the store's epoch does not know of the write yet.
    await site.router().observe(slow, response(200, "secondary", digest=D1))
    assert (await site.store.decide(NAME, D1)).digest is DigestState.UNKNOWN
    await site.router().observe(put, response(201, "primary"))
    assert (await read_tag(site)).reason is Reason.TAG_UNVERIFIED


async def test_a_delete_by_digest_waits_for_the_store() -> None:
    # Forwarded all the same, it would be forgotten with this worker, and the secondary would serve it again.
    site = Site()
    site.store.broken = True
    refused = await site.router(ADMIN).route(request("DELETE", DIGEST_PATH))
    assert isinstance(refused.decision, Refuse)
    assert (refused.decision.status, refused.decision.reason) == (503, Reason.EVIDENCE_UNAVAILABLE)
    assert not refused.wants_response
    # A tag's lease ages by itself: that delete goes on.
    assert (await site.router(ADMIN).route(request("DELETE", TAG_PATH))).decision.reason is Reason.WRITE
    site.store.broken = False
    again = await site.router(ADMIN).route(request("DELETE", DIGEST_PATH))
    assert again.decision.reason is Reason.WRITE


@pytest.mark.parametrize("path", [TAG_PATH, DIGEST_PATH, "/v2/"])
async def test_a_refused_request_asks_no_store(path: str) -> None:
    site = Site(verdict=Rejection.MISSING)
    site.store.broken = True
    routed = await site.router().route(request("GET", path))
    assert isinstance(routed.decision, Refuse)
    assert not routed.wants_response
    await site.router().observe(routed, response(401, ""))


async def test_a_refused_write_invalidates_nothing() -> None:
    site = Site()
    await read_tag(site)
    routed = await site.router(Rejection.INVALID).route(request("PUT", TAG_PATH))
    assert isinstance(routed.decision, Refuse)
    assert (await read_tag(site)).reason is Reason.TAG_VERIFIED


async def test_a_write_with_an_unverifiable_token_invalidates() -> None:
    site = Site()
    await read_tag(site)
    put = await site.router(Rejection.UNVERIFIABLE).route(request("PUT", TAG_PATH))
    await site.router().observe(put, response(201, "primary"))
    assert (await read_tag(site)).reason is Reason.TAG_UNVERIFIED


async def test_the_verifier_gets_every_credential_and_the_time() -> None:
    site = Site()
    verifier = Verifier(PULL)
    router = Router(verifier=verifier, facts=site.store, writes=site.backlog, policy=POLICY, now=site.clock)
    await router.route(request("GET", "/v2/", token="abc"))
    assert verifier.asked == [(("Bearer abc",), site.clock.now)]


async def test_passthrough_asks_no_verifier() -> None:
    site = Site(verdict=None)
    routed = await site.router().route(request("GET", "/v2/"))
    assert routed.decision == Forward(Route.SECONDARY, Reason.API_BASE)
    await site.router().observe(routed, response(200, "secondary"))


@dataclass
class Interest:
    """What it heard, in order."""

    heard: list[tuple[str, Name, Tag, Digest | None]] = field(default_factory=list)

    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        self.heard.append(("read", name, tag, lease.digest if lease else None))

    def tag_written(self, name: Name, tag: Tag) -> None:
        self.heard.append(("written", name, tag, None))


def interested(site: Site, verdict: Grant | Rejection | None = PULL) -> tuple[Router, Interest]:
    interest = Interest()
    verifier = None if verdict is None else Verifier(verdict)
    facts, writes = site.store, site.backlog
    router = Router(verifier=verifier, facts=facts, writes=writes, policy=POLICY, now=site.clock, interest=interest)
    return router, interest


async def test_a_tag_read_is_interest_with_a_lease_or_without() -> None:
    site = Site()
    router, interest = interested(site)
    await router.route(request("GET", TAG_PATH))
    await read_tag(site)
    await router.route(request("HEAD", TAG_PATH))
    latest = Tag("latest")
    assert interest.heard == [("read", NAME, latest, None), ("read", NAME, latest, D1)]


@pytest.mark.parametrize(
    ("verdict", "method", "path"),
    [
        pytest.param(PULL, "GET", DIGEST_PATH, id="by digest"),
        pytest.param(PULL, "GET", "/v2/g/app/tags/list", id="listing"),
        pytest.param(PULL, "GET", "/v2/g/other/manifests/latest", id="another name's token"),
        pytest.param(ADMIN, "GET", TAG_PATH, id="a token that may push"),
        pytest.param(Rejection.EXPIRED, "GET", TAG_PATH, id="an expired token"),
        pytest.param(Rejection.UNVERIFIABLE, "GET", TAG_PATH, id="a token by an unknown key"),
    ],
)
async def test_no_other_read_is(verdict: Grant | Rejection, method: str, path: str) -> None:
    router, interest = interested(Site(), verdict)
    await router.route(request(method, path))
    assert interest.heard == []


async def test_what_cannot_be_looked_up_is_no_interest() -> None:
    site = Site()
    site.store.broken = True
    router, interest = interested(site)
    assert (await router.route(request("GET", TAG_PATH))).decision.reason is Reason.EVIDENCE_UNAVAILABLE
    assert interest.heard == []


async def test_a_written_tag_is_heard_of_when_its_lease_is_dropped_for_the_second_time() -> None:
    site = Site()
    router, interest = interested(site, ADMIN)
    put = await router.route(request("PUT", TAG_PATH))
    assert interest.heard == []
    await router.observe(put, response(201, "primary"))
    assert interest.heard == [("written", NAME, Tag("latest"), None)]
    delete = await router.route(request("DELETE", DIGEST_PATH))
    await router.observe(delete, response(202, "primary"))
    assert len(interest.heard) == 1


async def test_a_lookup_without_a_name_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="without a name"):
        await Site().router()._evidence(Operation(Kind.BLOB, "GET"))


async def test_where_this_site_is_the_primary_the_store_is_not_asked() -> None:
    """Not even told: a deletion needs no tombstone, and a store that is away costs nothing."""
    site = Site(verdict=None)
    site.store.broken = True
    router = site.router()
    router.adopt(replace(POLICY, promoted=True))
    for method, path in (("GET", TAG_PATH), ("PUT", TAG_PATH), ("DELETE", f"/v2/g/app/manifests/{D1}")):
        routed = await router.route(request(method, path))
        assert routed.decision == Forward(Route.LOCAL, Reason.PROMOTED)
        assert (routed.mark, routed.snapshot, routed.wants_response) == ("", None, False)
    assert not site.backlog.pending
