from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.evidence.model import ContentKind, DigestState, Observation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Tag
from extproc.routing.decision import Forward, Route
from extproc.routing.learning import observation_of
from extproc.routing.message import ResponseHead
from extproc.routing.reason import Reason

D1 = Digest("sha256:" + "1" * 64)
D2 = Digest("sha256:" + "2" * 64)
INDEX = "application/vnd.oci.image.index.v1+json"
TAG = parse_operation("GET", "/v2/g/app/manifests/latest")
MANIFEST = parse_operation("GET", f"/v2/g/app/manifests/{D1}")
BLOB = parse_operation("GET", f"/v2/g/app/blobs/{D1}")
HERE = Forward(Route.SECONDARY, Reason.DIGEST_UNKNOWN, observe=True)
THERE = Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED, observe=True)
PINNED = Forward(Route.SECONDARY, Reason.TAG_VERIFIED, pin=D1, observe=True)

PRESENT = Observation(D1, secondary=DigestState.PRESENT)
ABSENT = Observation(D1, secondary=DigestState.ABSENT, primary_has=True)
ON_PRIMARY = Observation(D1, primary_has=True)
LEASE = Observation(D1, tag=Tag("latest"), media_type=INDEX, primary_has=True)


def answer(status: int, site: str, attempts: int = 1, digest: str = D1, content_type: str = INDEX) -> ResponseHead:
    return ResponseHead(status, digest, content_type, site, attempts)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(answer(200, "primary"), LEASE, id="200"),
        pytest.param(answer(200, "primary", content_type=f"{INDEX}; charset=utf-8"), LEASE, id="with a parameter"),
        pytest.param(answer(200, "primary", attempts=2), LEASE, id="after a retry"),
        pytest.param(answer(200, "secondary"), None, id="the secondary never writes a lease"),
        pytest.param(answer(200, ""), None, id="an unknown site never does"),
        pytest.param(answer(304, "primary", digest=""), None, id="304"),
        pytest.param(answer(307, "primary"), None, id="307"),
        pytest.param(answer(404, "primary"), None, id="404"),
        pytest.param(answer(200, "primary", digest=""), None, id="no digest"),
        pytest.param(answer(200, "primary", digest="sha256:12"), None, id="broken digest"),
        pytest.param(
            answer(200, "primary", content_type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
            None,
            id="a rewritten manifest",
        ),
    ],
)
def test_a_tag_read_writes_a_lease(response: ResponseHead, expected: Observation | None) -> None:
    assert observation_of(TAG, THERE, response) == expected
    # Also where the secondary may answer instead: what it says then is nothing of the primary.
    stale = replace(THERE, route=Route.PRIMARY_THEN_SECONDARY, stale=D1)
    assert observation_of(TAG, stale, response) == expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(answer(200, "secondary"), PRESENT, id="200 here"),
        pytest.param(answer(206, "secondary"), PRESENT, id="206 here"),
        pytest.param(answer(307, "secondary", digest=""), PRESENT, id="307 here"),
        pytest.param(answer(304, "secondary"), None, id="304 here proves nothing"),
        pytest.param(answer(416, "secondary"), None, id="416 here"),
        pytest.param(answer(200, "secondary", digest=D2), None, id="another digest"),
        pytest.param(answer(200, "primary", 2), ABSENT, id="fell back"),
        pytest.param(answer(307, "primary", 2), ABSENT, id="fell back to a redirect"),
        pytest.param(answer(404, "primary", 2), None, id="neither has it"),
        pytest.param(answer(503, "primary", 2, ""), None, id="both are down: Envoy's own 503 names the last tried"),
        pytest.param(answer(200, "primary", 1), ON_PRIMARY, id="the secondary was never tried"),
        pytest.param(answer(404, "primary", 1), None, id="404 there, first attempt"),
        pytest.param(answer(200, ""), None, id="unknown site"),
    ],
)
def test_a_blob_read(response: ResponseHead, expected: Observation | None) -> None:
    as_blob = None if expected is None else replace(expected, kind=ContentKind.BLOB)
    assert observation_of(BLOB, HERE, response) == as_blob


@pytest.mark.parametrize(
    ("decision", "response", "expected"),
    [
        pytest.param(HERE, answer(200, "secondary"), PRESENT, id="200 here"),
        pytest.param(HERE, answer(206, "secondary"), None, id="206 proves no manifest"),
        pytest.param(HERE, answer(307, "secondary"), None, id="307 proves no manifest"),
        pytest.param(THERE, answer(200, "primary"), ON_PRIMARY, id="a tombstone's read"),
        pytest.param(THERE, answer(200, "primary", 2), ON_PRIMARY, id="retried on the primary: nothing about us"),
        pytest.param(THERE, answer(404, "primary"), None, id="still deleted"),
    ],
)
def test_a_manifest_read_by_digest(decision: Forward, response: ResponseHead, expected: Observation | None) -> None:
    assert observation_of(MANIFEST, decision, response) == expected


def test_a_pinned_tag_teaches_of_its_digest_only() -> None:
    assert observation_of(TAG, PINNED, answer(200, "secondary")) == PRESENT
    assert observation_of(TAG, PINNED, answer(200, "primary", 2)) == ABSENT


def test_other_operations_teach_nothing() -> None:
    assert observation_of(parse_operation("GET", "/v2/"), HERE, answer(200, "secondary")) is None
