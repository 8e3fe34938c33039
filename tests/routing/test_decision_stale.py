"""What the secondary may be asked for should the primary fail (docs/primary-away.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.auth.grant import Grant
from extproc.evidence.model import ContentKind, DigestState, Evidence, Lease, Unavailable
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest
from extproc.routing.decision import Forward, Refuse, Route, decide
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout
from tests.routing.subject import ALL, D1, D2, INDEX, PULL, evidence, grant

PUSH_DELETE = grant("pull", "push", "delete")
POLICY = Policy(serve_stale=True)
CAREFUL = replace(POLICY, unknown_digests_local=False)

MANIFEST, BLOB = f"/v2/g/app/manifests/{D1}", f"/v2/g/app/blobs/{D1}"
TAG = "/v2/g/app/manifests/latest"
OLD, FRESH = Lease(D2, INDEX, 61.0), Lease(D2, INDEX, 1.0)


def decided(
    path: str,
    evidence: Evidence | Unavailable,
    policy: Policy = POLICY,
    *,
    method: str = "GET",
    token: Grant | None = PULL,
    accepted: frozenset[str] = ALL,
) -> Forward | Refuse:
    return decide(parse_operation(method, path), token, evidence, accepted, policy)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "evidence", "policy", "expected"),
    [
        pytest.param(
            MANIFEST, evidence(DigestState.ABSENT), POLICY, (Reason.DIGEST_ABSENT, D1), id="absent manifest"
        ),
        pytest.param(BLOB, evidence(DigestState.ABSENT), POLICY, (Reason.DIGEST_ABSENT, D1), id="absent blob"),
        pytest.param(BLOB, evidence(), CAREFUL, (Reason.DIGEST_UNKNOWN, D1), id="unknown blob"),
        pytest.param(TAG, evidence(lease=OLD), POLICY, (Reason.TAG_STALE, D2), id="old lease"),
        pytest.param(
            TAG, evidence(DigestState.PRESENT, OLD), POLICY, (Reason.TAG_STALE, D2), id="old lease, present"
        ),
        pytest.param(TAG, evidence(lease=FRESH), CAREFUL, (Reason.DIGEST_UNKNOWN, D2), id="fresh lease, unknown"),
        pytest.param(
            TAG, evidence(DigestState.ABSENT, FRESH), POLICY, (Reason.DIGEST_ABSENT, D2), id="fresh lease, absent"
        ),
        pytest.param(
            TAG, evidence(lease=OLD, marked=True), POLICY, (Reason.TAG_STALE, D2), id="while another is written"
        ),
        pytest.param(
            BLOB,
            evidence(DigestState.ABSENT, deleted_as=ContentKind.MANIFEST),
            POLICY,
            (Reason.DIGEST_ABSENT, D1),
            id="deleted as the other kind",
        ),
    ],
)
def test_the_primary_then_the_secondary(
    method: str, path: str, evidence: Evidence, policy: Policy, expected: tuple[Reason, Digest]
) -> None:
    reason, stale = expected
    found = decided(path, evidence, policy, method=method)
    without = decided(path, evidence, replace(policy, serve_stale=False), method=method)
    assert isinstance(without, Forward)
    assert (without.route, without.reason, without.stale) == (Route.PRIMARY, reason, None)
    # All else is as without it, what the primary's answer teaches too.
    assert found == replace(without, route=Route.PRIMARY_THEN_SECONDARY, stale=stale)


@pytest.mark.parametrize(
    ("path", "evidence", "more"),
    [
        pytest.param(MANIFEST, evidence(DigestState.DELETED), {}, id="deleted"),
        pytest.param(BLOB, evidence(DigestState.DELETED), {}, id="deleted blob"),
        pytest.param(
            BLOB, evidence(DigestState.ABSENT, deleted_as=ContentKind.BLOB), {}, id="deleted as what is asked for"
        ),
        pytest.param(TAG, evidence(DigestState.DELETED, OLD), {}, id="old lease of what is deleted"),
        pytest.param(
            TAG, evidence(lease=OLD, deleted_as=ContentKind.MANIFEST), {}, id="old lease, deleted as manifest"
        ),
        pytest.param(TAG, evidence(), {}, id="a tag that the primary did not name"),
        pytest.param(TAG, evidence(lease=OLD), {"accepted": frozenset()}, id="a lease that Accept does not cover"),
        pytest.param(TAG, evidence(lease=OLD), {"policy": replace(POLICY, max_staleness=0)}, id="strict"),
        pytest.param(MANIFEST, Unavailable("away"), {}, id="the store may hold a tombstone"),
        pytest.param(TAG, Unavailable("away"), {}, id="and a newer lease"),
        pytest.param(MANIFEST, evidence(DigestState.ABSENT), {"token": PUSH_DELETE}, id="a token that can push"),
        pytest.param(BLOB, evidence(DigestState.ABSENT), {"token": None, "method": "HEAD"}, id="a possible push"),
        pytest.param("/v2/g/app/tags/list", evidence(), {}, id="a listing"),
        pytest.param("/v2/g/app/referrers/" + D1, evidence(), {}, id="referrers"),
        *(
            pytest.param(
                MANIFEST,
                evidence(DigestState.ABSENT),
                {"policy": replace(POLICY, rollout=rollout)},
                id=f"rollout: {name}",
            )
            for name, rollout in {
                "observe": Rollout(Mode.OBSERVE),
                "primary-only": Rollout(Mode.PRIMARY_ONLY),
                "percentage": Rollout(percentage=0),
            }.items()
        ),
    ],
)
def test_the_primary_alone(path: str, evidence: Evidence | Unavailable, more: dict[str, object]) -> None:
    found = decided(path, evidence, **more)  # type: ignore[arg-type]
    assert isinstance(found, Forward)
    assert (found.route, found.stale) == (Route.PRIMARY, None)
    assert found.would is None or not isinstance(found.would, Forward) or found.would.stale is None


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_writes_are_the_primarys(method: str) -> None:
    found = decided(MANIFEST, evidence(DigestState.ABSENT), method=method, token=PUSH_DELETE)
    assert isinstance(found, Forward)
    assert (found.route, found.reason) == (Route.PRIMARY, Reason.WRITE)


def test_what_is_here_is_served_as_ever() -> None:
    found = decided(TAG, evidence(DigestState.PRESENT, FRESH))
    assert isinstance(found, Forward)
    assert (found.route, found.pin, found.stale) == (Route.SECONDARY, D2, None)
