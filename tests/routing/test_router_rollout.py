"""The router under a rollout: what is still asked of the store, and a policy that is replaced while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Invalidation, Observation
from extproc.evidence.store import StoreUnavailable
from extproc.oci.name_pattern import NamePattern
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout
from extproc.routing.router import MARK_MARGIN, Router
from tests.support.clock import Clock
from tests.support.heads import request, response

NAME = Name("g/app")
D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
TAG_PATH = "/v2/g/app/manifests/latest"
DIGEST_PATH = f"/v2/g/app/manifests/{D1}"
PULL = Grant(frozenset({Access("repository", "g/app", "pull")}), 1e12)
ADMIN = Grant(frozenset({Access("repository", "g/app", "*"), Access("repository", "g/app", "delete")}), 1e12)
SERVE = Policy(max_staleness=60, write_timeout=10)
OBSERVE = replace(SERVE, rollout=Rollout(Mode.OBSERVE))
PRIMARY_ONLY = replace(SERVE, rollout=Rollout(Mode.PRIMARY_ONLY))
EXCLUDED = replace(SERVE, rollout=Rollout(exclude=(NamePattern("g/**"),)))
NONE_YET = replace(SERVE, rollout=Rollout(percentage=0))


class Watched(MemoryStore):
    """Counts look-ups; holds one back while `held`; takes no write while `broken`."""

    looked_up = 0
    broken = False
    held: asyncio.Event | None = None

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        self.looked_up += 1
        if self.held is not None:
            await self.held.wait()
        return await super().decide(name, reference)

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        if self.broken:
            raise StoreUnavailable("broken on purpose")
        await super().begin_write(name, mark, what, ttl)


@dataclass
class Tokens:
    verdict: Grant | Rejection = PULL

    def verify(self, authorization: object, now: float) -> Grant | Rejection:
        return self.verdict


@dataclass
class Site:
    policy: Policy
    clock: Clock = field(default_factory=Clock)
    tokens: Tokens = field(default_factory=Tokens)

    def __post_init__(self) -> None:
        self.store = Watched(absent_ttl=5, clock=self.clock)
        self.router = Router(
            verifier=self.tokens, facts=self.store, writes=Backlog(self.store), policy=self.policy, now=self.clock
        )

    async def exchange(
        self, method: str, path: str, verdict: Grant | Rejection = PULL, digest: str = D1, status: int = 200
    ) -> Forward:
        """A whole one, answered by the site that it goes to."""
        self.tokens.verdict = verdict
        routed = await self.router.route(request(method, path))
        assert isinstance(routed.decision, Forward)
        if routed.wants_response:
            await self.router.observe(routed, response(status, routed.decision.route.value, digest=digest))
        return routed.decision

    async def present(self, digest: Digest) -> None:
        snapshot = (await self.store.decide(NAME, digest)).snapshot
        assert await self.store.learn(NAME, snapshot, Observation(digest, secondary=DigestState.PRESENT))


async def test_observing_learns_leases_as_serving_does() -> None:
    site = Site(OBSERVE)
    assert (await site.exchange("GET", TAG_PATH)).reason is Reason.TAG_UNVERIFIED
    second = await site.exchange("GET", TAG_PATH)
    assert (second.reason, second.route) == (Reason.MODE_OBSERVE, Route.PRIMARY)
    assert isinstance(second.would, Forward)
    assert (second.would.reason, second.would.pin) == (Reason.TAG_VERIFIED, D1)
    # It is renewed when serving would renew it, and no sooner.
    site.clock.advance(60.5)
    assert (await site.exchange("GET", TAG_PATH)).reason is Reason.TAG_STALE
    assert (await site.exchange("GET", TAG_PATH)).reason is Reason.MODE_OBSERVE
    site.router.adopt(SERVE)
    assert (await site.exchange("GET", TAG_PATH)).pin == D1


@pytest.mark.parametrize("policy", [OBSERVE, PRIMARY_ONLY, EXCLUDED, NONE_YET])
async def test_serving_is_right_from_its_first_request_on(policy: Policy) -> None:
    """What was known before is dropped by what is written meanwhile."""
    site = Site(SERVE)
    await site.exchange("GET", TAG_PATH)
    await site.present(D1)
    site.router.adopt(policy)
    await site.exchange("PUT", TAG_PATH, ADMIN, status=201)
    await site.exchange("DELETE", DIGEST_PATH, ADMIN, status=202)
    site.router.adopt(SERVE)
    assert (await site.exchange("GET", TAG_PATH, digest=D2)).reason is Reason.TAG_UNVERIFIED
    assert (await site.exchange("GET", DIGEST_PATH, status=404)).reason is Reason.DIGEST_DELETED


@pytest.mark.parametrize("policy", [OBSERVE, PRIMARY_ONLY])
@pytest.mark.parametrize("verdict", [Rejection.MISSING, Rejection.EXPIRED, Rejection.INVALID, PULL])
async def test_a_write_that_serving_would_refuse_invalidates(policy: Policy, verdict: Grant | Rejection) -> None:
    # The primary may take it: our keys or its rules are not what we think.
    site = Site(SERVE)
    await site.exchange("GET", TAG_PATH)
    await site.present(D1)
    site.router.adopt(policy)
    put = await site.exchange("PUT", TAG_PATH, verdict, status=201)
    assert (put.reason, put.invalidation) == (policy.rollout.mode.reason, Invalidation(tag=Tag("latest")))
    await site.exchange("DELETE", DIGEST_PATH, verdict, status=202)
    site.router.adopt(SERVE)
    assert (await site.exchange("GET", TAG_PATH, digest=D2)).reason is Reason.TAG_UNVERIFIED
    assert (await site.exchange("GET", DIGEST_PATH, status=404)).reason is Reason.DIGEST_DELETED


@pytest.mark.parametrize("status", [401, 403, 404, 405, 503])
@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        pytest.param(SERVE, ADMIN, id="serve"),
        pytest.param(SERVE, Rejection.UNVERIFIABLE, id="serve, unknown key"),
        pytest.param(OBSERVE, Rejection.MISSING, id="observe"),
        pytest.param(PRIMARY_ONLY, Rejection.MISSING, id="primary-only"),
        pytest.param(EXCLUDED, ADMIN, id="excluded"),
    ],
)
async def test_the_tombstone_of_a_refused_delete_ends_with_the_primarys_next_answer(
    policy: Policy, verdict: Grant | Rejection, status: int
) -> None:
    """Of a read in `serve`, whatever the mode was that the delete came in: the refusal itself proves nothing."""
    site = Site(SERVE)
    await site.present(D1)
    site.router.adopt(policy)
    await site.exchange("DELETE", DIGEST_PATH, verdict, status=status)
    site.router.adopt(SERVE)
    first = await site.exchange("GET", DIGEST_PATH)
    assert (first.route, first.reason) == (Route.PRIMARY, Reason.DIGEST_DELETED)
    second = await site.exchange("GET", DIGEST_PATH)
    assert (second.route, second.reason) == (Route.SECONDARY, Reason.DIGEST_UNKNOWN)


async def test_observing_lifts_a_tombstone_too_and_primary_only_keeps_it() -> None:
    site = Site(OBSERVE)
    await site.exchange("DELETE", DIGEST_PATH, Rejection.MISSING, status=401)
    site.router.adopt(PRIMARY_ONLY)
    assert (await site.exchange("GET", DIGEST_PATH)).reason is Reason.MODE_PRIMARY_ONLY
    site.router.adopt(OBSERVE)
    assert (await site.exchange("GET", DIGEST_PATH)).reason is Reason.DIGEST_DELETED
    assert (await site.exchange("GET", DIGEST_PATH)).reason is Reason.MODE_OBSERVE


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        pytest.param(OBSERVE, ADMIN, id="observe"),
        pytest.param(OBSERVE, PULL, id="observe, serve would refuse it"),
        pytest.param(PRIMARY_ONLY, ADMIN, id="primary-only"),
        pytest.param(PRIMARY_ONLY, Rejection.MISSING, id="primary-only, serve would refuse it"),
        pytest.param(EXCLUDED, ADMIN, id="excluded"),
        pytest.param(NONE_YET, ADMIN, id="not yet"),
    ],
)
async def test_a_delete_by_digest_waits_for_the_store(policy: Policy, verdict: Grant | Rejection) -> None:
    site = Site(policy)
    site.store.broken = True
    site.tokens.verdict = verdict
    refused = (await site.router.route(request("DELETE", DIGEST_PATH))).decision
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.reason) == (503, Reason.EVIDENCE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PRIMARY_ONLY, Reason.MODE_PRIMARY_ONLY),
        (EXCLUDED, Reason.NAME_EXCLUDED),
        (NONE_YET, Reason.PERCENTAGE_EXCLUDED),
    ],
)
@pytest.mark.parametrize("path", [TAG_PATH, DIGEST_PATH])
async def test_nothing_is_looked_up(policy: Policy, reason: Reason, path: str) -> None:
    site = Site(policy)
    assert (await site.exchange("GET", path)).reason is reason
    assert site.store.looked_up == 0


async def test_a_read_ends_under_the_policy_that_it_began_with() -> None:
    site = Site(SERVE)
    await site.present(D1)
    site.store.held = asyncio.Event()
    reading = asyncio.create_task(site.router.route(request("GET", DIGEST_PATH)))
    await asyncio.sleep(0)
    site.router.adopt(PRIMARY_ONLY)
    site.store.held.set()
    assert (await reading).decision.reason is Reason.DIGEST_PRESENT
    assert (await site.exchange("GET", DIGEST_PATH)).reason is Reason.MODE_PRIMARY_ONLY


@pytest.mark.parametrize(("before", "after"), [(SERVE, PRIMARY_ONLY), (PRIMARY_ONLY, SERVE), (OBSERVE, SERVE)])
async def test_a_mark_is_lifted_whatever_was_adopted_meanwhile(before: Policy, after: Policy) -> None:
    site = Site(before, tokens=Tokens(ADMIN))
    put = await site.router.route(request("PUT", TAG_PATH))
    assert (await site.store.decide(NAME, Tag("latest"))).marked
    site.router.adopt(after)
    await site.router.observe(put, response(201, "primary"))
    assert not (await site.store.decide(NAME, Tag("latest"))).marked


async def test_what_was_learned_under_another_policy_is_learned() -> None:
    site = Site(OBSERVE)
    slow = await site.router.route(request("GET", TAG_PATH))
    site.router.adopt(SERVE)
    await site.router.observe(slow, response(200, "primary", digest=D1))
    assert (await site.exchange("GET", TAG_PATH)).reason is Reason.TAG_VERIFIED


@pytest.mark.parametrize(("adopted", "lasts"), [(3.0, 10.0), (30.0, 30.0)])
async def test_a_mark_never_becomes_shorter_than_envoys_bound(adopted: float, lasts: float) -> None:
    site = Site(SERVE, tokens=Tokens(ADMIN))
    site.router.adopt(replace(SERVE, write_timeout=adopted))
    site.router.adopt(replace(SERVE, write_timeout=adopted))
    await site.router.route(request("PUT", TAG_PATH))
    site.clock.advance(lasts + MARK_MARGIN - 0.1)
    assert (await site.store.decide(NAME, Tag("latest"))).marked
    site.clock.advance(0.2)
    assert not (await site.store.decide(NAME, Tag("latest"))).marked
