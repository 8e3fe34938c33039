"""Where this site is the primary (docs/promotion.md)."""

from __future__ import annotations

import pytest

from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.model import Unavailable
from extproc.oci.parse import parse_operation
from extproc.routing.decision import Forward, Refuse, Route, admit, decide
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import Mode, Rollout

DIGEST = "sha256:" + "1" * 64
ALL = Grant(
    frozenset(
        {
            *(Access("repository", "g/app", action) for action in ("pull", "push", "delete")),
            Access("registry", "catalog", "*"),
        }
    ),
    1e12,
)
REQUESTS = [
    ("GET", "/v2/"),
    ("GET", "/v2/_catalog"),
    ("GET", "/v2/g/app/tags/list"),
    ("GET", f"/v2/g/app/referrers/{DIGEST}"),
    ("GET", f"/v2/g/app/blobs/{DIGEST}"),
    ("HEAD", f"/v2/g/app/blobs/{DIGEST}"),
    ("GET", "/v2/g/app/manifests/latest"),
    ("PUT", "/v2/g/app/manifests/latest"),
    ("DELETE", "/v2/g/app/manifests/latest"),
    ("DELETE", f"/v2/g/app/manifests/{DIGEST}"),
    ("DELETE", f"/v2/g/app/blobs/{DIGEST}"),
    ("POST", "/v2/g/app/blobs/uploads/"),
    ("PATCH", "/v2/g/app/blobs/uploads/u"),
    ("GET", "/gitlab/v1/repositories/g/app/"),
    ("GET", "/metrics"),
]
HERE = Forward(Route.LOCAL, Reason.PROMOTED)


@pytest.mark.parametrize(("method", "path"), REQUESTS, ids=lambda part: part)
@pytest.mark.parametrize("credential", [ALL, None, Rejection.UNVERIFIABLE], ids=["token", "passthrough", "rotated"])
def test_everything_is_answered_here(method: str, path: str, credential: Grant | Rejection | None) -> None:
    """Nothing is looked up, learned or made untrue."""
    assert admit(parse_operation(method, path), credential, promoted=True) == HERE


def test_no_evidence_is_needed() -> None:
    operation = parse_operation("GET", "/v2/g/app/manifests/latest")
    assert decide(operation, ALL, Unavailable("away"), frozenset(), Policy(promoted=True)) == HERE


@pytest.mark.parametrize(
    ("method", "path", "credential", "status"),
    [
        pytest.param("PUT", "/v2/g/app/manifests/%76", ALL, 400, id="a write that cannot be read"),
        pytest.param("GET", "/v2/", Rejection.MISSING, 401, id="no token"),
        pytest.param("GET", "/v2/", Rejection.EXPIRED, 401, id="expired"),
        pytest.param("PUT", "/v2/other/manifests/v1", ALL, 401, id="not granted"),
    ],
)
def test_what_is_refused_stays_refused(method: str, path: str, credential: Grant | Rejection, status: int) -> None:
    operation = parse_operation(method, path)
    refused = admit(operation, credential, promoted=True)
    assert isinstance(refused, Refuse)
    assert refused.status == status
    assert refused == admit(operation, credential)


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.PRIMARY_ONLY])
def test_where_the_registry_judges_tokens_it_does_so_here(mode: Mode) -> None:
    rollout = Rollout(mode)
    operation = parse_operation("GET", "/v2/")
    assert admit(operation, Rejection.EXPIRED, rollout, promoted=True) == HERE
    malformed = admit(parse_operation("PUT", "/v2/g/app/manifests/%76"), ALL, rollout, promoted=True)
    assert isinstance(malformed, Refuse)
