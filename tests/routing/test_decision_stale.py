"""What the secondary may be asked for should the primary fail (docs/primary-away.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.auth.grant import Access, Grant
from extproc.evidence.model import ContentKind, DigestState, Evidence, Lease, Snapshot, Unavailable
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest
from extproc.routing.decision import Forward, Refuse, Route, decide
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout

D1, D2 = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
INDEX = "application/vnd.oci.image.index.v1+json"
PULL = Grant(frozenset({Access("repository", "g/app", "pull")}), 1e12)
PUSH = Grant(PULL.access | {Access("repository", "g/app", action) for action in ("push", "delete")}, 1e12)
POLICY = Policy(serve_stale=True)
CAREFUL = replace(POLICY, unknown_digests_local=False)

MANIFEST, BLOB = f"/v2/g/app/manifests/{D1}", f"/v2/g/app/blobs/{D1}"
TAG = "/v2/g/app/manifests/latest"
OLD, FRESH = Lease(D2, INDEX, 61.0), Lease(D2, INDEX, 1.0)


def known(
    state: DigestState = DigestState.UNKNOWN,
    lease: Lease | None = None,
    deleted_as: ContentKind | None = None,
    *,
    marked: bool = False,
) -> Evidence:
    return Evidence(Snapshot(b"e", b"g", 1), marked, lease, state, deleted_as=deleted_as)


def decided(
    path: str,
    evidence: Evidence | Unavailable,
    policy: Policy = POLICY,
    *,
    method: str = "GET",
    grant: Grant | None = PULL,
    accepted: frozenset[str] = LEASED_MEDIA_TYPES,
) -> Forward | Refuse:
    return decide(parse_operation(method, path), grant, evidence, accepted, policy)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "evidence", "policy", "expected"),
    [
        pytest.param(MANIFEST, known(DigestState.ABSENT), POLICY, (Reason.DIGEST_ABSENT, D1), id="absent manifest"),
        pytest.param(BLOB, known(DigestState.ABSENT), POLICY, (Reason.DIGEST_ABSENT, D1), id="absent blob"),
        pytest.param(BLOB, known(), CAREFUL, (Reason.DIGEST_UNKNOWN, D1), id="unknown blob"),
        pytest.param(TAG, known(lease=OLD), POLICY, (Reason.TAG_STALE, D2), id="old lease"),
        pytest.param(TAG, known(DigestState.PRESENT, OLD), POLICY, (Reason.TAG_STALE, D2), id="old lease, present"),
        pytest.param(TAG, known(lease=FRESH), CAREFUL, (Reason.DIGEST_UNKNOWN, D2), id="fresh lease, unknown"),
        pytest.param(
            TAG, known(DigestState.ABSENT, FRESH), POLICY, (Reason.DIGEST_ABSENT, D2), id="fresh lease, absent"
        ),
        pytest.param(
            TAG, known(lease=OLD, marked=True), POLICY, (Reason.TAG_STALE, D2), id="while another is written"
        ),
        pytest.param(
            BLOB,
            known(DigestState.ABSENT, deleted_as=ContentKind.MANIFEST),
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
        pytest.param(MANIFEST, known(DigestState.DELETED), {}, id="deleted"),
        pytest.param(BLOB, known(DigestState.DELETED), {}, id="deleted blob"),
        pytest.param(
            BLOB, known(DigestState.ABSENT, deleted_as=ContentKind.BLOB), {}, id="deleted as what is asked for"
        ),
        pytest.param(TAG, known(DigestState.DELETED, OLD), {}, id="old lease of what is deleted"),
        pytest.param(TAG, known(lease=OLD, deleted_as=ContentKind.MANIFEST), {}, id="old lease, deleted as manifest"),
        pytest.param(TAG, known(), {}, id="a tag that the primary did not name"),
        pytest.param(TAG, known(lease=OLD), {"accepted": frozenset()}, id="a lease that Accept does not cover"),
        pytest.param(TAG, known(lease=OLD), {"policy": replace(POLICY, max_staleness=0)}, id="strict"),
        pytest.param(MANIFEST, Unavailable("away"), {}, id="the store may hold a tombstone"),
        pytest.param(TAG, Unavailable("away"), {}, id="and a newer lease"),
        pytest.param(MANIFEST, known(DigestState.ABSENT), {"grant": PUSH}, id="a token that can push"),
        pytest.param(BLOB, known(DigestState.ABSENT), {"grant": None, "method": "HEAD"}, id="a possible push"),
        pytest.param("/v2/g/app/tags/list", known(), {}, id="a listing"),
        pytest.param("/v2/g/app/referrers/" + D1, known(), {}, id="referrers"),
        *(
            pytest.param(
                MANIFEST,
                known(DigestState.ABSENT),
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
    found = decided(MANIFEST, known(DigestState.ABSENT), method=method, grant=PUSH)
    assert isinstance(found, Forward)
    assert (found.route, found.reason) == (Route.PRIMARY, Reason.WRITE)


def test_what_is_here_is_served_as_ever() -> None:
    found = decided(TAG, known(DigestState.PRESENT, FRESH))
    assert isinstance(found, Forward)
    assert (found.route, found.pin, found.stale) == (Route.SECONDARY, D2, None)
