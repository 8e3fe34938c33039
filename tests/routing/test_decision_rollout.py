"""Rule 8 of the decision: each mode on each operation, evidence and token (docs/decisions.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.auth.grant import Rejection
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Lease, Snapshot, Unavailable
from extproc.oci.name_pattern import NamePattern
from extproc.oci.operation import Kind, Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import Credential, Forward, Lookup, Refuse, Route, admit, decide, resolve
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout
from tests.routing.subject import ALL, D1, DELETE, INDEX, NAME, NOTHING, PULL, PUSH, evidence, grant

OTHER = grant("pull", name="g/other")

BASE = ("GET", "/v2/")
BLOB = ("GET", f"/v2/g/app/blobs/{D1}")
TAG = ("GET", "/v2/g/app/manifests/latest")
PUT = ("PUT", TAG[1])
DELETE_DIGEST = ("DELETE", f"/v2/g/app/manifests/{D1}")
UNREADABLE = ("PUT", "/v2/g/app/manifests/%6catest")
TAGS = ("GET", "/v2/g/app/tags/list")

OBSERVE, PRIMARY_ONLY = Rollout(Mode.OBSERVE), Rollout(Mode.PRIMARY_ONLY)
NOT_THIS = Rollout(exclude=(NamePattern("g/**"),))
NONE_YET = Rollout(percentage=0)
PRIMARY, SECONDARY = Route.PRIMARY, Route.SECONDARY
TAG_DROPPED = Invalidation(tag=Tag("latest"))
DIGEST_DROPPED = Invalidation(all_leases=True, tombstone=D1)


PRESENT = evidence(DigestState.PRESENT, confirmed=1.0)
FRESH = evidence(DigestState.PRESENT, Lease(D1, INDEX, 1.0), confirmed=1.0)
FRESH_ONLY = evidence(DigestState.UNKNOWN, Lease(D1, INDEX, 1.0))
STALE = evidence(DigestState.PRESENT, Lease(D1, INDEX, 61.0), confirmed=1.0)
DELETED = evidence(DigestState.DELETED)


def decided(
    rollout: Rollout, request: tuple[str, str], credential: Credential, evidence: Evidence | Unavailable = NOTHING
) -> Forward | Refuse:
    return decide(parse_operation(*request), credential, evidence, ALL, Policy(rollout=rollout))


@pytest.mark.parametrize(
    ("request_line", "credential", "evidence", "expected"),
    [
        pytest.param(
            TAG,
            PULL,
            FRESH,
            Forward(
                PRIMARY,
                Reason.MODE_OBSERVE,
                would=Forward(SECONDARY, Reason.TAG_VERIFIED, pin=D1),
                would_find=True,
            ),
            id="a fresh lease, and present",
        ),
        pytest.param(
            TAG,
            PULL,
            FRESH_ONLY,
            Forward(
                PRIMARY,
                Reason.MODE_OBSERVE,
                would=Forward(SECONDARY, Reason.TAG_VERIFIED, pin=D1, observe=True),
            ),
            id="a fresh lease, and who knows",
        ),
        pytest.param(
            BLOB,
            PULL,
            PRESENT,
            Forward(PRIMARY, Reason.MODE_OBSERVE, would=Forward(SECONDARY, Reason.DIGEST_PRESENT), would_find=True),
            id="present",
        ),
        pytest.param(
            BLOB,
            PULL,
            NOTHING,
            Forward(PRIMARY, Reason.MODE_OBSERVE, would=Forward(SECONDARY, Reason.DIGEST_UNKNOWN, observe=True)),
            id="unknown",
        ),
        pytest.param(
            BASE,
            PULL,
            NOTHING,
            Forward(PRIMARY, Reason.MODE_OBSERVE, would=Forward(SECONDARY, Reason.API_BASE)),
            id="api base",
        ),
        pytest.param(
            TAG,
            PULL,
            NOTHING,
            Forward(
                PRIMARY,
                Reason.TAG_UNVERIFIED,
                observe=True,
                would=Forward(PRIMARY, Reason.TAG_UNVERIFIED, observe=True),
            ),
            id="no lease: it is learned",
        ),
        pytest.param(
            TAG,
            PULL,
            STALE,
            Forward(PRIMARY, Reason.TAG_STALE, observe=True, would=Forward(PRIMARY, Reason.TAG_STALE, observe=True)),
            id="a stale lease: it is learned anew",
        ),
        pytest.param(
            BLOB,
            PULL,
            DELETED,
            Forward(
                PRIMARY,
                Reason.DIGEST_DELETED,
                observe=True,
                would=Forward(PRIMARY, Reason.DIGEST_DELETED, observe=True),
            ),
            id="deleted: a 200 lifts it",
        ),
        pytest.param(
            BLOB,
            PULL,
            Unavailable("away"),
            Forward(PRIMARY, Reason.EVIDENCE_UNAVAILABLE, would=Forward(PRIMARY, Reason.EVIDENCE_UNAVAILABLE)),
            id="no evidence",
        ),
        pytest.param(
            TAGS,
            PULL,
            NOTHING,
            Forward(PRIMARY, Reason.LISTING, would=Forward(PRIMARY, Reason.LISTING)),
            id="listing",
        ),
        pytest.param(
            TAG,
            PUSH,
            FRESH,
            Forward(PRIMARY, Reason.PUSH_TOKEN, would=Forward(PRIMARY, Reason.PUSH_TOKEN)),
            id="push token",
        ),
        pytest.param(
            PUT,
            PUSH,
            NOTHING,
            Forward(
                PRIMARY,
                Reason.WRITE,
                invalidation=TAG_DROPPED,
                would=Forward(PRIMARY, Reason.WRITE, invalidation=TAG_DROPPED),
            ),
            id="write",
        ),
        pytest.param(
            PUT,
            Rejection.UNVERIFIABLE,
            NOTHING,
            Forward(
                PRIMARY,
                Reason.TOKEN_UNVERIFIABLE,
                invalidation=TAG_DROPPED,
                would=Forward(PRIMARY, Reason.TOKEN_UNVERIFIABLE, invalidation=TAG_DROPPED),
            ),
            id="unverifiable write",
        ),
        pytest.param(
            ("OPTIONS", "/v2/"),
            Rejection.MISSING,
            NOTHING,
            Forward(PRIMARY, Reason.UNKNOWN_OPERATION, would=Forward(PRIMARY, Reason.UNKNOWN_OPERATION)),
            id="not understood",
        ),
        pytest.param(
            ("HEAD", BLOB[1]),
            None,
            PRESENT,
            Forward(PRIMARY, Reason.POSSIBLE_PUSH, would=Forward(PRIMARY, Reason.POSSIBLE_PUSH)),
            id="passthrough HEAD",
        ),
    ],
)
def test_observe(
    request_line: tuple[str, str], credential: Credential, evidence: Evidence | Unavailable, expected: Forward
) -> None:
    assert decided(OBSERVE, request_line, credential, evidence) == expected
    # What would be is what is, once it is served.
    assert decided(Rollout(), request_line, credential, evidence) == expected.would


@pytest.mark.parametrize(
    ("request_line", "credential", "expected"),
    [
        pytest.param(TAG, PULL, Forward(PRIMARY, Reason.MODE_PRIMARY_ONLY), id="tag"),
        pytest.param(BLOB, PULL, Forward(PRIMARY, Reason.MODE_PRIMARY_ONLY), id="blob"),
        pytest.param(("HEAD", BLOB[1]), None, Forward(PRIMARY, Reason.MODE_PRIMARY_ONLY), id="passthrough HEAD"),
        pytest.param(BASE, PULL, Forward(PRIMARY, Reason.MODE_PRIMARY_ONLY), id="api base"),
        pytest.param(TAG, PUSH, Forward(PRIMARY, Reason.PUSH_TOKEN), id="push token"),
        pytest.param(TAGS, PULL, Forward(PRIMARY, Reason.LISTING), id="listing"),
        pytest.param(PUT, PUSH, Forward(PRIMARY, Reason.WRITE, invalidation=TAG_DROPPED), id="write"),
        pytest.param(DELETE_DIGEST, DELETE, Forward(PRIMARY, Reason.WRITE, invalidation=DIGEST_DROPPED), id="delete"),
        pytest.param(
            PUT,
            Rejection.UNVERIFIABLE,
            Forward(PRIMARY, Reason.TOKEN_UNVERIFIABLE, invalidation=TAG_DROPPED),
            id="unverifiable write",
        ),
    ],
)
def test_primary_only(request_line: tuple[str, str], credential: Credential, expected: Forward) -> None:
    assert decided(PRIMARY_ONLY, request_line, credential, FRESH) == expected
    assert not isinstance(admit(parse_operation(*request_line), credential, PRIMARY_ONLY), Lookup)


@pytest.mark.parametrize(
    ("rollout", "mode"), [(OBSERVE, Reason.MODE_OBSERVE), (PRIMARY_ONLY, Reason.MODE_PRIMARY_ONLY)]
)
@pytest.mark.parametrize(
    ("request_line", "credential", "reason", "invalidation"),
    [
        pytest.param(TAG, Rejection.MISSING, Reason.TOKEN_MISSING, None, id="read without token"),
        pytest.param(BASE, Rejection.MISSING, Reason.TOKEN_MISSING, None, id="login"),
        pytest.param(TAG, Rejection.EXPIRED, Reason.TOKEN_EXPIRED, None, id="expired"),
        pytest.param(TAG, OTHER, Reason.SCOPE_INSUFFICIENT, None, id="another name"),
        pytest.param(PUT, Rejection.INVALID, Reason.TOKEN_INVALID, TAG_DROPPED, id="write, invalid"),
        pytest.param(PUT, PULL, Reason.SCOPE_INSUFFICIENT, TAG_DROPPED, id="write, pull only"),
        pytest.param(DELETE_DIGEST, PUSH, Reason.SCOPE_INSUFFICIENT, DIGEST_DROPPED, id="delete, push only"),
        pytest.param(
            ("POST", "/v2/g/app/blobs/uploads/"), PULL, Reason.SCOPE_INSUFFICIENT, None, id="upload, pull only"
        ),
    ],
)
def test_the_primary_judges_what_serve_would_refuse(  # noqa: PLR0917 - the columns of two tables
    rollout: Rollout,
    mode: Reason,
    request_line: tuple[str, str],
    credential: Credential,
    reason: Reason,
    invalidation: Invalidation | None,
) -> None:
    found = decided(rollout, request_line, credential, FRESH)
    refusal = decided(Rollout(), request_line, credential, FRESH)
    assert isinstance(refusal, Refuse)
    assert refusal.reason is reason
    assert found == Forward(PRIMARY, mode, invalidation=invalidation, would=refusal)


@pytest.mark.parametrize("rollout", [Rollout(), OBSERVE, PRIMARY_ONLY, NOT_THIS, NONE_YET])
def test_a_write_that_cannot_be_read_is_refused_whatever_the_mode(rollout: Rollout) -> None:
    found = decided(rollout, UNREADABLE, PUSH)
    assert isinstance(found, Refuse)
    assert (found.status, found.reason) == (400, Reason.NAME_INVALID)


@pytest.mark.parametrize(
    ("rollout", "reason"), [(NOT_THIS, Reason.NAME_EXCLUDED), (NONE_YET, Reason.PERCENTAGE_EXCLUDED)]
)
class TestWithheldNames:
    @pytest.mark.parametrize("request_line", [TAG, BLOB, ("HEAD", TAG[1])])
    def test_reads_are_the_primarys_and_nothing_is_looked_up(
        self, rollout: Rollout, reason: Reason, request_line: tuple[str, str]
    ) -> None:
        assert admit(parse_operation(*request_line), PULL, rollout) == Forward(PRIMARY, reason)

    def test_observing_says_the_same(self, rollout: Rollout, reason: Reason) -> None:
        found = decided(replace(rollout, mode=Mode.OBSERVE), TAG, PULL, FRESH)
        assert found == Forward(PRIMARY, reason, would=Forward(PRIMARY, reason))

    def test_a_refusal_stays_one(self, rollout: Rollout, reason: Reason) -> None:
        assert decided(rollout, TAG, Rejection.MISSING) == decided(Rollout(), TAG, Rejection.MISSING)

    @pytest.mark.parametrize(
        ("request_line", "credential"), [(PUT, PUSH), (DELETE_DIGEST, DELETE), (TAGS, PULL), (BASE, PULL)]
    )
    def test_all_else_is_as_ever(
        self, rollout: Rollout, reason: Reason, request_line: tuple[str, str], credential: Credential
    ) -> None:
        assert decided(rollout, request_line, credential) == decided(Rollout(), request_line, credential)

    def test_other_names_too(self, rollout: Rollout, reason: Reason) -> None:
        other = ("GET", f"/v2/h/app/blobs/{D1}")
        found = decided(rollout, other, grant("pull", name="h/app"), PRESENT)
        assert (found.reason is Reason.DIGEST_PRESENT) is (rollout is NOT_THIS)


# Whatever it is

grants = st.frozensets(st.sampled_from(["pull", "push", "delete", "*"])).map(lambda actions: grant(*actions))
credentials: st.SearchStrategy[Credential] = st.one_of(st.none(), st.sampled_from(Rejection), grants)
references = st.sampled_from([Tag("latest"), D1])
paths = [
    *(path for _, path in (BASE, BLOB, TAG, TAGS, UNREADABLE)),
    *(
        f"/v2/g/app/{rest}"
        for rest in (f"manifests/{D1}", f"manifests/{D1}?tag=a", "manifests/.x", f"referrers/{D1}")
    ),
    *(
        "/v2/g/app/blobs/uploads/",
        "/v2/g/app/blobs/uploads/u",
        "/v2/_catalog",
        "/gitlab/v1/repositories/g/app/",
        "/x",
    ),
]
operations = st.builds(
    parse_operation,
    st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"]),
    st.sampled_from(paths),
)


def test_the_operations_are_of_every_kind() -> None:
    kinds = {parse_operation(method, path).kind for method in ("GET", "PUT", "DELETE") for path in paths}
    assert kinds == set(Kind)


leases = st.none() | st.builds(Lease, st.just(D1), st.sampled_from(sorted(ALL)), st.floats(0, 120))
facts: st.SearchStrategy[Evidence | Unavailable] = st.just(Unavailable("away")) | st.builds(
    Evidence,
    st.just(Snapshot(b"e", b"g", 1)),
    st.booleans(),
    leases,
    st.sampled_from(DigestState),
    st.none() | st.floats(0, 120),
    st.none() | st.sampled_from(ContentKind),
)
accepts = st.sampled_from([ALL, frozenset({INDEX}), frozenset[str]()])
withheld = st.builds(
    Rollout,
    st.just(Mode.SERVE),
    st.sampled_from([(), (NamePattern("g/*"),), (NamePattern("h"),)]),
    st.sampled_from([(), (NamePattern("g/*"),)]),
    st.sampled_from([0.0, 20.0, 50.0, 100.0]),
)
policies = st.builds(
    Policy,
    max_staleness=st.sampled_from([0.0, 60.0]),
    unknown_digests_local=st.booleans(),
    rollout=withheld,
)


def with_mode(policy: Policy, mode: Mode) -> Policy:
    return replace(policy, rollout=replace(policy.rollout, mode=mode))


@settings(deadline=None)
@given(operations, credentials, facts, accepts, policies, st.sampled_from([Mode.OBSERVE, Mode.PRIMARY_ONLY]))
def test_outside_serve_nothing_ever_goes_to_the_secondary(  # noqa: PLR0917 - one strategy each
    operation: Operation,
    credential: Credential,
    evidence: Evidence | Unavailable,
    accepted: frozenset[str],
    policy: Policy,
    mode: Mode,
) -> None:
    found = decide(operation, credential, evidence, accepted, with_mode(policy, mode))
    if isinstance(found, Forward):
        assert (found.route, found.pin) == (PRIMARY, None)
    else:
        assert found.status == 400


@settings(deadline=None)
@given(operations, credentials, facts, accepts, policies)
def test_observing_forecasts_what_serving_does(
    operation: Operation,
    credential: Credential,
    evidence: Evidence | Unavailable,
    accepted: frozenset[str],
    policy: Policy,
) -> None:
    served = decide(operation, credential, evidence, accepted, policy)
    observed = decide(operation, credential, evidence, accepted, with_mode(policy, Mode.OBSERVE))
    if isinstance(observed, Forward):
        assert observed.would == served
    else:
        assert observed == served


@settings(deadline=None)
@given(operations, credentials, facts, accepts, policies, st.sampled_from(Mode))
def test_no_mode_makes_a_write_invalidate_less(  # noqa: PLR0917 - one strategy each
    operation: Operation,
    credential: Credential,
    evidence: Evidence | Unavailable,
    accepted: frozenset[str],
    policy: Policy,
    mode: Mode,
) -> None:
    served = decide(operation, credential, evidence, accepted, policy)
    found = decide(operation, credential, evidence, accepted, with_mode(policy, mode))
    if isinstance(served, Forward):
        assert isinstance(found, Forward)
        assert found.invalidation == served.invalidation


@settings(deadline=None)
@given(facts, accepts, policies, st.sampled_from([Mode.OBSERVE, Mode.PRIMARY_ONLY]), references)
def test_nor_does_a_look_up_that_began_otherwise_go_there(
    evidence: Evidence | Unavailable, accepted: frozenset[str], policy: Policy, mode: Mode, reference: Tag | Digest
) -> None:
    lookup = Lookup(Operation(Kind.MANIFEST, "GET", Name(NAME), reference), passthrough=False)
    assert resolve(lookup, evidence, accepted, with_mode(policy, mode)).route is PRIMARY
