"""What a request would meet now: the same words as the router's, in a shape that JSON carries."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Observation
from extproc.evidence.store import StoreUnavailable
from extproc.explain import Explanation, ReferenceInvalid, explain, request_of_reference
from extproc.oci.name_pattern import NamePattern
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Credential
from extproc.routing.policy import Policy
from extproc.routing.rollout import Mode, Rollout
from extproc.routing.router import Router
from tests.support.clock import Clock
from tests.support.heads import INDEX, request

NAME = Name("g/app")
DIGEST = Digest("sha256:" + "1" * 64)
OTHER = Digest("sha256:" + "2" * 64)
TAG = "/v2/g/app/manifests/latest"
PULL = Grant(frozenset({Access("repository", "g/app", "pull")}), 1e12, "reader")
PUSH = Grant(frozenset({Access("repository", "g/app", "pull"), Access("repository", "g/app", "push")}), 1e12)


class Away(MemoryStore):
    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        raise StoreUnavailable("redis://h: away")


@dataclass
class Verifier:
    verdict: Grant | Rejection

    def verify(self, authorization: object, now: float) -> Grant | Rejection:
        return self.verdict


@dataclass
class Site:
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store = MemoryStore(absent_ttl=5, clock=self.clock)

    async def learn(self, seen: Observation) -> None:
        snapshot = (await self.store.decide(NAME, seen.tag or seen.digest)).snapshot
        assert await self.store.learn(NAME, snapshot, seen)

    async def warm(self) -> None:
        """The tag was read some seconds ago; another digest was deleted."""
        await self.store.begin_write(NAME, "m", Invalidation(all_leases=True, tombstone=OTHER), 1)
        await self.store.end_write(NAME, "m", Invalidation(all_leases=True, tombstone=OTHER))
        await self.learn(Observation(DIGEST, tag=Tag("latest"), media_type=INDEX, primary_has=True))
        await self.learn(Observation(DIGEST, secondary=DigestState.PRESENT))
        self.clock.advance(12.5)

    async def explain(self, method: str, path: str, credential: Credential, *, assumed: bool = False) -> Explanation:
        return await explain(method, path, credential, self.store, Policy(), assumed=assumed)


@pytest.mark.parametrize(
    ("method", "path", "kind", "needs", "reason"),
    [
        ("GET", "/v2/", "api-base", [], "api-base"),
        ("GET", TAG, "manifest", ["pull"], "tag-verified"),
        ("HEAD", TAG, "manifest", ["pull"], "tag-verified"),
        ("GET", TAG + "?ns=x", "manifest", ["pull"], "tag-verified"),
        ("GET", "/v2/g/app/manifests/v2", "manifest", ["pull"], "tag-unverified"),
        ("GET", f"/v2/g/app/manifests/{DIGEST}", "manifest", ["pull"], "digest-present"),
        ("GET", f"/v2/g/app/blobs/{OTHER}", "blob", ["pull"], "digest-deleted"),
        ("PUT", TAG, "manifest-put", ["pull", "push"], "write"),
        ("DELETE", TAG, "manifest-delete", ["delete"], "write"),
        ("DELETE", f"/v2/g/app/blobs/{DIGEST}", "blob-delete", ["delete"], "write"),
        ("PUT", "/v2/g/app/manifests/.bad", "write", ["pull", "push"], "write"),
        ("DELETE", "/v2/g/app/tags/reference/.bad", "write", ["delete"], "write"),
        ("POST", "/v2/g/app/blobs/uploads/", "upload", ["pull", "push"], "upload-session"),
        ("GET", "/v2/g/app/tags/list", "tags-list", ["pull"], "listing"),
        ("GET", f"/v2/g/app/referrers/{DIGEST}", "referrers", ["pull"], "listing"),
        ("GET", "/gitlab/v1/repositories/g/app/", "gitlab-api", [], "gitlab-api"),
        ("GET", "/v2/g/%61pp/manifests/latest", "unknown", [], "unknown-operation"),
        ("PUT", "/v2/g/%61pp/manifests/latest", "malformed", [], "name-invalid"),
        ("BREW", "/v2/", "unknown", [], "unknown-operation"),
    ],
)
async def test_with_an_assumed_token(method: str, path: str, kind: str, needs: list[str], reason: str) -> None:
    site = Site()
    await site.warm()
    found = await site.explain(method, path, None, assumed=True)
    wanted = [f"repository:g/app:{action}" for action in needs]
    assert (found.operation["kind"], found.operation["needs"], found.reason) == (kind, wanted, reason)
    assert found.grant == {"status": "assumed", "access": sorted(wanted)}
    assert (found.evidence is not None) is reason.startswith(("tag-", "digest-"))
    assert json.loads(json.dumps(found.operation | found.decision)) is not None
    assert [line.split()[0] for line in found.words] == ["operation", "grant", "evidence", "decision", "reason"]
    assert found.words[-1].split() == ["reason", reason]


async def test_the_catalog_needs_a_right_of_its_own() -> None:
    found = await Site().explain("GET", "/v2/_catalog", None, assumed=True)
    assert found.grant["access"] == ["registry:catalog:*"]
    assert found.reason == "listing"


@pytest.mark.parametrize(
    ("credential", "status", "reason"),
    [
        pytest.param(None, "passthrough", "tag-verified", id="passthrough"),
        pytest.param(PULL, "verified", "tag-verified", id="pull"),
        pytest.param(PUSH, "verified", "push-token", id="push"),
        pytest.param(Grant(frozenset(), 1e12), "verified", "scope-insufficient", id="no right"),
        pytest.param(Rejection.MISSING, "missing", "token-missing", id="anonymous"),
        pytest.param(Rejection.EXPIRED, "expired", "token-expired", id="expired"),
        pytest.param(Rejection.INVALID, "invalid", "token-invalid", id="invalid"),
        pytest.param(Rejection.UNVERIFIABLE, "unverifiable", "token-unverifiable", id="an unknown key"),
    ],
)
async def test_it_says_what_the_router_does(credential: Credential, status: str, reason: str) -> None:
    site = Site()
    await site.warm()
    found = await site.explain("GET", TAG, credential)
    assert (found.grant["status"], found.reason) == (status, reason)
    verifier = None if credential is None else Verifier(credential)
    router = Router(verifier=verifier, facts=site.store, writes=Backlog(site.store), policy=Policy(), now=Clock())
    routed = await router.route(request("GET", TAG))
    assert routed.decision.reason.value == reason


async def test_everything_of_a_tag() -> None:
    site = Site()
    await site.warm()
    found = await site.explain("GET", TAG, PULL)
    assert json.loads(json.dumps([found.operation, found.grant, found.evidence, found.decision])) == [
        {
            "kind": "manifest",
            "method": "GET",
            "name": "g/app",
            "reference": "latest",
            "needs": ["repository:g/app:pull"],
        },
        {"status": "verified", "access": ["repository:g/app:pull"]},
        {
            "available": True,
            "lease": {"digest": DIGEST, "media_type": INDEX, "age": 12.5},
            "digest": "present",
            "confirmed": 12.5,
            "write_under_way": False,
        },
        {
            "route": "secondary",
            "pinned_to": DIGEST,
            "stale": None,
            "learns_from_the_answer": False,
            "invalidates": None,
            "would": None,
        },
    ]
    assert found.words == [
        "operation  GET manifest latest of g/app",
        "grant      verified repository:g/app:pull",
        f"evidence   primary said {DIGEST} 12.5 s ago; digest present",
        f"decision   secondary, pinned to {DIGEST}",
        "reason     tag-verified",
    ]


async def test_observing_says_what_serving_would_do() -> None:
    site = Site()
    await site.warm()
    found = await explain("GET", TAG, PULL, site.store, Policy(rollout=Rollout(Mode.OBSERVE)))
    assert found.reason == "mode-observe"
    assert json.loads(json.dumps(found.decision)) == {
        "route": "primary",
        "pinned_to": None,
        "stale": None,
        "learns_from_the_answer": False,
        "invalidates": None,
        "would": {
            "route": "secondary",
            "pinned_to": DIGEST,
            "stale": None,
            "learns_from_the_answer": False,
            "invalidates": None,
            "would": None,
            "reason": "tag-verified",
        },
    }
    assert found.words[-3:] == [
        "decision   primary",
        f"in serve   secondary, pinned to {DIGEST}: tag-verified",
        "reason     mode-observe",
    ]


async def test_a_token_that_only_serving_would_refuse() -> None:
    policy = Policy(rollout=Rollout(Mode.PRIMARY_ONLY))
    found = await explain("GET", TAG, Rejection.EXPIRED, Site().store, policy)
    assert found.decision["would"] == {
        "answer": 401,
        "asks_for": ["repository:g/app:pull"],
        "reason": "token-expired",
    }
    assert found.words[-3:] == [
        "decision   primary",
        "in serve   answered here: 401: token-expired",
        "reason     mode-primary-only",
    ]


async def test_an_excluded_name_is_not_looked_up() -> None:
    policy = Policy(rollout=Rollout(exclude=(NamePattern("g/**"),)))
    found = await explain("GET", TAG, PULL, Away(absent_ttl=5), policy)
    assert (found.reason, found.evidence, found.decision["would"]) == ("name-excluded", None, None)


async def test_a_write_under_way() -> None:
    site = Site()
    await site.store.begin_write(NAME, "m", Invalidation(tag=Tag("latest")), 60)
    found = await site.explain("GET", TAG, PULL)
    assert found.evidence is not None
    assert found.evidence["write_under_way"] is True
    assert found.words[2] == "evidence   no lease of this tag; a write is under way"


async def test_a_store_that_is_away() -> None:
    found = await explain("GET", TAG, PULL, Away(absent_ttl=5), Policy())
    assert found.evidence == {"available": False, "detail": "redis://h: away"}
    assert found.reason == "evidence-unavailable"
    assert found.words[2] == "evidence   unavailable: redis://h: away"


async def test_a_refusal() -> None:
    found = await Site().explain("GET", TAG, Rejection.MISSING)
    assert found.decision == {"answer": 401, "asks_for": ["repository:g/app:pull"]}
    assert found.evidence is None
    assert found.words[2:4] == ["evidence   not needed", "decision   answered here: 401"]


async def test_a_write_says_what_it_invalidates() -> None:
    found = await Site().explain("DELETE", f"/v2/g/app/manifests/{DIGEST}", None)
    assert json.loads(json.dumps(found.decision["invalidates"])) == {
        "tag": None,
        "all_leases": True,
        "tombstone": DIGEST,
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("app", "/v2/app/manifests/latest"),
        ("g/app", "/v2/g/app/manifests/latest"),
        ("g/app:v1", "/v2/g/app/manifests/v1"),
        ("registry.example.com/g/app:v1", "/v2/g/app/manifests/v1"),
        ("registry:5000/g/app", "/v2/g/app/manifests/latest"),
        ("localhost/x", "/v2/x/manifests/latest"),
        ("localhost:5000/x", "/v2/x/manifests/latest"),
        ("localhost:5000/x:y", "/v2/x/manifests/y"),
        ("[::1]:5000/x", "/v2/x/manifests/latest"),
        ("localhosts/x", "/v2/localhosts/x/manifests/latest"),
        (f"g/app@{DIGEST}", f"/v2/g/app/manifests/{DIGEST}"),
        (f"g/app:v1@{DIGEST}", f"/v2/g/app/manifests/{DIGEST}"),
        (f"localhost:5000/g/app@{DIGEST}", f"/v2/g/app/manifests/{DIGEST}"),
        (f"h.io:443/g/app:v1@{DIGEST}", f"/v2/g/app/manifests/{DIGEST}"),
    ],
)
def test_reference(text: str, path: str) -> None:
    assert request_of_reference(text) == ("GET", path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G/app",
        "g//app",
        "g/app:",
        "g/app:.x",
        "g/app:a:b",
        "g/app@",
        "g/app@latest",
        "g/app@sha256:12",
        f"g/app:.x@{DIGEST}",
        f"g/app:@{DIGEST}",
        "localhost:5000/",
        "https://h.io/g/app",
    ],
)
def test_not_a_reference(text: str) -> None:
    with pytest.raises(ReferenceInvalid):
        request_of_reference(text)


async def test_a_digest_that_is_deleted_as_what_is_asked_for_is_said_to_be() -> None:
    site = Site()
    await site.warm()
    # Deleted as a manifest, it is served as a blob still.
    await site.learn(Observation(OTHER, secondary=DigestState.PRESENT, primary_has=True, kind=ContentKind.BLOB))
    for kind, reason, state in (("manifests", "digest-deleted", "deleted"), ("blobs", "digest-present", "present")):
        found = await site.explain("GET", f"/v2/g/app/{kind}/{OTHER}", PULL)
        assert (found.reason, found.evidence and found.evidence["digest"]) == (reason, state)
        assert f"evidence   digest {state}" in found.words


async def test_what_the_secondary_may_be_asked_for_where_the_primary_fails() -> None:
    site = Site()
    await site.warm()
    site.clock.advance(61)
    found = await explain("GET", TAG, PULL, site.store, Policy(serve_stale=True))
    assert (found.reason, found.decision["route"]) == ("tag-stale", "primary-then-secondary")
    assert found.decision["stale"] == DIGEST
    assert f"decision   primary-then-secondary, should it fail {DIGEST}" in found.words


async def test_where_this_site_is_the_primary() -> None:
    found = await explain("PUT", TAG, None, Site().store, Policy(promoted=True))
    assert (found.reason, found.decision["route"], found.evidence) == ("promoted", "local", None)
    assert "decision   local" in found.words
