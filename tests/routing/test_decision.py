"""The table of the decision, row by row (docs/decisions.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.auth.access import required_access
from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Lease, Unavailable
from extproc.oci.operation import Kind, Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Name, Tag
from extproc.routing.decision import Credential, Forward, Lookup, Refuse, Route, admit, decide, invalidation_of
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from tests.routing.subject import ALL, D1, DELETE, INDEX, NAME, NOTHING, PULL, PUSH, evidence, grant

POLICY = Policy(max_staleness=60, present_recheck=60)
STAR = grant("*")
OTHER = grant("pull", name="g/app2")
CATALOG = Grant(frozenset({Access("registry", "catalog", "*")}), 1e12)

BLOB = ("GET", f"/v2/g/app/blobs/{D1}")
BY_DIGEST = ("GET", f"/v2/g/app/manifests/{D1}")
BY_TAG = ("GET", "/v2/g/app/manifests/latest")


def lease(age: float = 1.0, media_type: str = INDEX) -> Lease:
    return Lease(D1, media_type, age)


PRIMARY, SECONDARY = Route.PRIMARY, Route.SECONDARY


@pytest.mark.parametrize(
    ("request_line", "credential", "status", "reason"),
    [
        pytest.param(BLOB, Rejection.MISSING, 401, Reason.TOKEN_MISSING, id="no token"),
        pytest.param(BLOB, Rejection.EXPIRED, 401, Reason.TOKEN_EXPIRED, id="expired token"),
        pytest.param(BLOB, Rejection.INVALID, 401, Reason.TOKEN_INVALID, id="wrong token"),
        pytest.param(BLOB, OTHER, 401, Reason.SCOPE_INSUFFICIENT, id="another name"),
        pytest.param(("GET", "/v2/"), Rejection.MISSING, 401, Reason.TOKEN_MISSING, id="base without token"),
        pytest.param(("PUT", BY_TAG[1]), PULL, 401, Reason.SCOPE_INSUFFICIENT, id="put with pull"),
        pytest.param(("DELETE", BY_TAG[1]), PUSH, 401, Reason.SCOPE_INSUFFICIENT, id="delete with push"),
        pytest.param(("GET", "/v2/_catalog"), PULL, 401, Reason.SCOPE_INSUFFICIENT, id="catalog with pull"),
        pytest.param(("PUT", "/v2/g/app/manifests/%6catest"), PUSH, 400, Reason.NAME_INVALID, id="unreadable write"),
        pytest.param(
            ("PUT", "/v2/g/app/manifests/%6catest"), None, 400, Reason.NAME_INVALID, id="unreadable, passthrough"
        ),
    ],
)
def test_refused(request_line: tuple[str, str], credential: Credential, status: int, reason: Reason) -> None:
    operation = parse_operation(*request_line)
    decision = decide(operation, credential, NOTHING, ALL, POLICY)
    assert isinstance(decision, Refuse)
    assert (decision.status, decision.reason) == (status, reason)
    assert decision.wanted == (required_access(operation) if status == 401 else ())
    assert bool(decision.fault) == (status == 400)


@pytest.mark.parametrize(
    ("request_line", "credential", "known", "expected"),
    [
        pytest.param(
            BLOB, Rejection.UNVERIFIABLE, NOTHING, Forward(PRIMARY, Reason.TOKEN_UNVERIFIABLE), id="unknown key"
        ),
        pytest.param(
            ("PUT", BY_TAG[1]),
            Rejection.UNVERIFIABLE,
            NOTHING,
            Forward(PRIMARY, Reason.TOKEN_UNVERIFIABLE, invalidation=Invalidation(tag=Tag("latest"))),
            id="unknown key, still a write",
        ),
        pytest.param(("GET", "/v2/"), OTHER, NOTHING, Forward(SECONDARY, Reason.API_BASE), id="base"),
        pytest.param(
            ("POST", "/v2/g/app/blobs/uploads/"),
            PUSH,
            NOTHING,
            Forward(PRIMARY, Reason.UPLOAD_SESSION),
            id="upload starts",
        ),
        pytest.param(
            ("GET", "/v2/g/app/blobs/uploads/abc"),
            PUSH,
            NOTHING,
            Forward(PRIMARY, Reason.UPLOAD_SESSION),
            id="upload status",
        ),
        pytest.param(
            ("DELETE", "/v2/g/app/blobs/uploads/abc"),
            PUSH,
            NOTHING,
            Forward(PRIMARY, Reason.UPLOAD_SESSION),
            id="upload cancelled",
        ),
        pytest.param(
            ("PUT", BY_TAG[1]),
            PUSH,
            NOTHING,
            Forward(PRIMARY, Reason.WRITE, invalidation=Invalidation(tag=Tag("latest"))),
            id="put tag",
        ),
        pytest.param(
            ("PUT", BY_DIGEST[1]),
            STAR,
            NOTHING,
            Forward(PRIMARY, Reason.WRITE, invalidation=Invalidation()),
            id="put digest",
        ),
        pytest.param(
            ("DELETE", BY_DIGEST[1]),
            DELETE,
            NOTHING,
            Forward(PRIMARY, Reason.WRITE, invalidation=Invalidation(all_leases=True, tombstone=D1)),
            id="delete manifest",
        ),
        pytest.param(
            ("DELETE", BLOB[1]),
            DELETE,
            NOTHING,
            Forward(PRIMARY, Reason.WRITE, invalidation=Invalidation(all_leases=True, tombstone=D1)),
            id="delete blob",
        ),
        pytest.param(("POST", BY_TAG[1]), PUSH, NOTHING, Forward(PRIMARY, Reason.WRITE), id="another write"),
        pytest.param(BLOB, PUSH, evidence(DigestState.PRESENT), Forward(PRIMARY, Reason.PUSH_TOKEN), id="push reads"),
        pytest.param(
            BY_TAG, STAR, evidence(lease=lease()), Forward(PRIMARY, Reason.PUSH_TOKEN), id="star reads a tag"
        ),
        pytest.param(
            ("GET", "/v2/g/app/tags/list"),
            PUSH,
            NOTHING,
            Forward(PRIMARY, Reason.PUSH_TOKEN),
            id="push lists tags",
        ),
        pytest.param(("GET", "/v2/g/app/tags/list"), PULL, NOTHING, Forward(PRIMARY, Reason.LISTING), id="tags"),
        pytest.param(
            ("GET", f"/v2/g/app/referrers/{D1}"), PULL, NOTHING, Forward(PRIMARY, Reason.LISTING), id="referrers"
        ),
        pytest.param(("GET", "/v2/_catalog"), CATALOG, NOTHING, Forward(PRIMARY, Reason.LISTING), id="catalog"),
        pytest.param(
            ("GET", "/gitlab/v1/repositories/g/app/"),
            Rejection.MISSING,
            NOTHING,
            Forward(PRIMARY, Reason.GITLAB_API),
            id="gitlab",
        ),
        pytest.param(
            ("GET", "/v2/g/app/manifests/%6catest"),
            PULL,
            NOTHING,
            Forward(PRIMARY, Reason.UNKNOWN_OPERATION),
            id="escaped read",
        ),
        pytest.param(
            ("OPTIONS", "/v2/"), Rejection.MISSING, NOTHING, Forward(PRIMARY, Reason.UNKNOWN_OPERATION), id="options"
        ),
        pytest.param(
            BLOB, PULL, Unavailable("down"), Forward(PRIMARY, Reason.EVIDENCE_UNAVAILABLE), id="no evidence, blob"
        ),
        pytest.param(
            BY_TAG, PULL, Unavailable("down"), Forward(PRIMARY, Reason.EVIDENCE_UNAVAILABLE), id="no evidence, tag"
        ),
    ],
)
def test_forwarded_without_evidence(
    request_line: tuple[str, str], credential: Credential, known: Evidence | Unavailable, expected: Forward
) -> None:
    assert decide(parse_operation(*request_line), credential, known, ALL, POLICY) == expected


STALE = evidence(DigestState.PRESENT, lease(60.1), confirmed=1)
FRESH = evidence(DigestState.PRESENT, lease(60.0), confirmed=1)


@pytest.mark.parametrize("request_line", [pytest.param(BLOB, id="blob"), pytest.param(BY_DIGEST, id="manifest")])
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(
            evidence(DigestState.PRESENT, confirmed=60), Forward(SECONDARY, Reason.DIGEST_PRESENT), id="present"
        ),
        pytest.param(
            evidence(DigestState.PRESENT, confirmed=60.1),
            Forward(SECONDARY, Reason.DIGEST_PRESENT, observe=True),
            id="present, look again",
        ),
        pytest.param(
            evidence(DigestState.PRESENT),
            Forward(SECONDARY, Reason.DIGEST_PRESENT, observe=True),
            id="present, never confirmed",
        ),
        pytest.param(
            evidence(DigestState.PRESENT, confirmed=99, marked=True),
            Forward(SECONDARY, Reason.DIGEST_PRESENT),
            id="present, marked",
        ),
        pytest.param(evidence(), Forward(SECONDARY, Reason.DIGEST_UNKNOWN, observe=True), id="unknown"),
        pytest.param(evidence(marked=True), Forward(SECONDARY, Reason.DIGEST_UNKNOWN), id="unknown, marked"),
        pytest.param(evidence(DigestState.ABSENT), Forward(PRIMARY, Reason.DIGEST_ABSENT), id="absent"),
        pytest.param(
            evidence(DigestState.DELETED), Forward(PRIMARY, Reason.DIGEST_DELETED, observe=True), id="deleted"
        ),
        pytest.param(
            evidence(DigestState.DELETED, marked=True), Forward(PRIMARY, Reason.DIGEST_DELETED), id="deleted, marked"
        ),
    ],
)
def test_digest(request_line: tuple[str, str], known: Evidence, expected: Forward) -> None:
    assert decide(parse_operation(*request_line), PULL, known, ALL, POLICY) == expected


KEPT_FROM_HERE = Forward(PRIMARY, Reason.DIGEST_DELETED, observe=True)


@pytest.mark.parametrize("state", [DigestState.UNKNOWN, DigestState.PRESENT, DigestState.ABSENT])
@pytest.mark.parametrize(
    ("request_line", "deleted_as"),
    [
        pytest.param(BLOB, ContentKind.BLOB, id="blob"),
        pytest.param(BY_DIGEST, ContentKind.MANIFEST, id="manifest"),
        pytest.param(BY_TAG, ContentKind.MANIFEST, id="tag"),
    ],
)
def test_a_digest_deleted_as_one_kind(
    request_line: tuple[str, str], deleted_as: ContentKind, state: DigestState
) -> None:
    operation = parse_operation(*request_line)
    known = evidence(state, lease() if request_line is BY_TAG else None, confirmed=1)
    as_asked, as_other = replace(known, deleted_as=deleted_as), replace(known, deleted_as=deleted_as.other)
    assert decide(operation, PULL, as_asked, ALL, POLICY) == KEPT_FROM_HERE
    assert decide(operation, PULL, as_other, ALL, POLICY) == decide(operation, PULL, known, ALL, POLICY)


@pytest.mark.parametrize(
    ("known", "accepted", "expected"),
    [
        pytest.param(NOTHING, ALL, Forward(PRIMARY, Reason.TAG_UNVERIFIED, observe=True), id="no lease"),
        pytest.param(
            evidence(marked=True), ALL, Forward(PRIMARY, Reason.TAG_UNVERIFIED), id="no lease, write under way"
        ),
        pytest.param(
            NOTHING, ALL - {INDEX}, Forward(PRIMARY, Reason.TAG_UNVERIFIED), id="no lease, accept too narrow"
        ),
        pytest.param(FRESH, ALL, Forward(SECONDARY, Reason.TAG_VERIFIED, pin=D1), id="fresh"),
        pytest.param(
            FRESH, frozenset({INDEX}), Forward(SECONDARY, Reason.TAG_VERIFIED, pin=D1), id="fresh, accept just enough"
        ),
        pytest.param(
            FRESH, ALL - {INDEX}, Forward(PRIMARY, Reason.TAG_UNVERIFIED), id="fresh, accept lacks the type"
        ),
        pytest.param(STALE, ALL, Forward(PRIMARY, Reason.TAG_STALE, observe=True), id="stale"),
        pytest.param(STALE, frozenset({INDEX}), Forward(PRIMARY, Reason.TAG_STALE), id="stale, accept too narrow"),
        pytest.param(
            evidence(DigestState.UNKNOWN, lease()),
            ALL,
            Forward(SECONDARY, Reason.TAG_VERIFIED, pin=D1, observe=True),
            id="digest unknown",
        ),
        pytest.param(
            evidence(DigestState.ABSENT, lease()),
            ALL,
            Forward(PRIMARY, Reason.DIGEST_ABSENT, observe=True),
            id="digest absent",
        ),
        pytest.param(
            evidence(DigestState.DELETED, lease()),
            ALL,
            Forward(PRIMARY, Reason.DIGEST_DELETED, observe=True),
            id="digest deleted",
        ),
        pytest.param(
            evidence(DigestState.DELETED, lease(), marked=True),
            ALL,
            Forward(PRIMARY, Reason.DIGEST_DELETED),
            id="digest deleted, write under way",
        ),
    ],
)
def test_tag(known: Evidence, accepted: frozenset[str], expected: Forward) -> None:
    assert decide(parse_operation(*BY_TAG), PULL, known, accepted, POLICY) == expected


def test_strict_asks_the_primary_for_tags_and_learns_nothing() -> None:
    strict = replace(POLICY, max_staleness=0)
    fresh = evidence(DigestState.PRESENT, lease(0.0), confirmed=1)
    assert decide(parse_operation(*BY_TAG), PULL, fresh, ALL, strict) == Forward(PRIMARY, Reason.TAG_UNVERIFIED)


def test_the_shortest_staleness_still_learns() -> None:
    short = replace(POLICY, max_staleness=0.5)
    unleased = evidence(DigestState.UNKNOWN, None)
    learned = Forward(PRIMARY, Reason.TAG_UNVERIFIED, observe=True)
    assert decide(parse_operation(*BY_TAG), PULL, unleased, ALL, short) == learned


def test_strict_still_serves_digests_here() -> None:
    strict = replace(POLICY, max_staleness=0)
    known = evidence(DigestState.PRESENT, confirmed=1)
    assert decide(parse_operation(*BLOB), PULL, known, ALL, strict) == Forward(SECONDARY, Reason.DIGEST_PRESENT)


@pytest.mark.parametrize("request_line", [pytest.param(BLOB, id="digest"), pytest.param(BY_TAG, id="tag")])
def test_unknown_digests_can_be_left_to_the_primary(request_line: tuple[str, str]) -> None:
    cautious = replace(POLICY, unknown_digests_local=False)
    known = evidence(DigestState.UNKNOWN, lease() if request_line is BY_TAG else None)
    decision = decide(parse_operation(*request_line), PULL, known, ALL, cautious)
    assert isinstance(decision, Forward)
    assert (decision.route, decision.reason) == (PRIMARY, Reason.DIGEST_UNKNOWN)


@pytest.mark.parametrize(
    ("method", "path", "route", "reason"),
    [
        pytest.param("HEAD", BLOB[1], PRIMARY, Reason.POSSIBLE_PUSH, id="HEAD blob"),
        pytest.param("HEAD", BY_DIGEST[1], PRIMARY, Reason.POSSIBLE_PUSH, id="HEAD manifest by digest"),
        pytest.param("GET", BLOB[1], SECONDARY, Reason.DIGEST_PRESENT, id="GET blob"),
        pytest.param("HEAD", BY_TAG[1], SECONDARY, Reason.TAG_VERIFIED, id="HEAD tag: the primary's own answer"),
        pytest.param("GET", "/v2/g/app/tags/list", PRIMARY, Reason.LISTING, id="tags list"),
    ],
)
def test_passthrough(method: str, path: str, route: Route, reason: Reason) -> None:
    decision = decide(parse_operation(method, path), None, FRESH, ALL, POLICY)
    assert isinstance(decision, Forward)
    assert (decision.route, decision.reason) == (route, reason)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {Kind.BLOB, Kind.MANIFEST}])
def test_only_blobs_and_manifests_need_evidence(kind: Kind) -> None:
    operation = Operation(kind, "GET", Name(NAME), D1)
    assert not isinstance(admit(operation, None), Lookup)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {Kind.BLOB, Kind.MANIFEST, Kind.API_BASE}])
@pytest.mark.parametrize("credential", [None, PULL, PUSH, STAR, Rejection.UNVERIFIABLE])
def test_nothing_else_is_ever_served_here(kind: Kind, credential: Credential) -> None:
    decision = decide(Operation(kind, "GET", Name(NAME), D1), credential, FRESH, ALL, POLICY)
    assert isinstance(decision, Refuse) or decision.route is PRIMARY


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        pytest.param(("DELETE", BY_TAG[1]), Invalidation(tag=Tag("latest")), id="delete tag"),
        pytest.param(
            ("DELETE", "/v2/g/app/tags/reference/latest"), Invalidation(tag=Tag("latest")), id="delete tag, GitLab"
        ),
        pytest.param(
            ("PUT", BY_DIGEST[1] + "?tag=a"), Invalidation(all_leases=True), id="put digest that moves tags"
        ),
        pytest.param(("PATCH", "/v2/g/app/blobs/uploads/x"), None, id="upload touches no tag"),
        pytest.param(BY_TAG, None, id="read"),
        pytest.param(("DELETE", "/v2/g/app/tags/list"), None, id="delete of something else"),
    ],
)
def test_invalidation(request_line: tuple[str, str], expected: Invalidation | None) -> None:
    assert invalidation_of(parse_operation(*request_line)) == expected
