"""The judge finds what it is there for: each rule broken once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.faults.judge import Allowed, Judge, Part, Verdict
from tests.faults.ledger import Entry, Kind
from tests.support.registry_client import digest_of

ONE, TWO = digest_of(b"1"), digest_of(b"2")
NAME, TAG = "load/app-0", "latest"
BLOBS: Allowed = {"blob": frozenset({503})}


def entry(kind: Kind, begun: float, digest: str = ONE, status: int = 200) -> Entry:
    """Right in everything; it takes a tenth of a second."""
    wanted = {"push": 201, "direct": 201, "delete": 202, "gone": 404}.get(kind, 200)
    reference = digest if kind in {"manifest", "blob", "gone"} else TAG
    return Entry(
        kind, NAME, reference, "GET", "/v2/…", status if kind != "push" else 201, wanted, "primary", "write",
        digest, digest, begun, begun + 0.1,
    )  # fmt: skip


def judged(
    *entries: Entry, allowed: Allowed | None = None, told: float | None = None, trusting: bool = True
) -> Verdict:
    """A fault from 100 to 200; the second digest's push was `told` then."""
    known = {} if told is None else {(TAG, str(TWO)): told}
    judge = Judge(entries, known, max_staleness=5.0)
    return judge.verdict(Part(entries, 100.0, 200.0), allowed or {}, trusting_notifications=trusting)


PUSHES = (entry("push", 10.0), entry("push", 20.0, TWO))
DIRECT = (entry("push", 10.0), replace(entry("direct", 20.0, TWO), status=201))


@pytest.mark.parametrize(
    ("entries", "stale"),
    [
        pytest.param((*PUSHES, entry("tag", 30.0, TWO)), 0, id="the newest"),
        pytest.param((*PUSHES, entry("tag", 20.05)), 0, id="while it is pushed"),
        pytest.param((*PUSHES, entry("tag", 20.2)), 1, id="read your writes"),
        pytest.param((*PUSHES, entry("tag", 30.0)), 2, id="and too old"),
        pytest.param((*DIRECT, entry("tag", 24.0)), 0, id="past this site"),
        pytest.param((*DIRECT, entry("tag", 25.2)), 1, id="past this site, too old"),
    ],
)
def test_tags(entries: Sequence[Entry], stale: int) -> None:
    verdict = judged(*entries)
    # What has no answer is an error of its own.
    assert (len(verdict.stale), len(verdict.wrong), len(verdict.errors)) == (stale, 0, 0)


def test_what_a_notification_told_counts_once_it_was_taken() -> None:
    read = entry("tag", 22.0)
    assert not judged(*DIRECT, read, told=22.5).stale
    assert len(judged(*DIRECT, read, told=21.0).stale) == 1
    assert not judged(*DIRECT, read, told=21.0, trusting=False).stale


def test_a_push_without_an_answer_may_be_what_is_read_later() -> None:
    pushed = (entry("push", 10.0), replace(entry("push", 20.0, TWO), status=0), entry("push", 30.0, digest_of(b"3")))
    assert not judged(*pushed, entry("tag", 50.0, TWO)).stale
    assert judged(*pushed, entry("tag", 50.0)).stale


def test_what_nobody_pushed() -> None:
    assert judged(*PUSHES, entry("tag", 30.0, digest_of(b"3"))).wrong


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(replace(entry("blob", 1.0), body_digest=TWO), id="bytes of a digest"),
        pytest.param(replace(entry("manifest", 1.0), digest=TWO), id="another digest"),
        pytest.param(replace(entry("tag", 20.2, TWO), body_digest=ONE), id="bytes of a tag"),
        pytest.param(replace(entry("blob", 1.0), body_digest=""), id="no bytes"),
    ],
)
def test_wrong_bytes(wrong: Entry) -> None:
    assert len(judged(*PUSHES, wrong).wrong) == 1
    assert not judged(*PUSHES, replace(wrong, method="HEAD", body_digest="", digest=wrong.reference)).wrong[1:]


@pytest.mark.parametrize(
    ("begun", "status", "errors", "allowed"),
    [
        pytest.param(150.0, 503, 0, 1, id="as allowed"),
        pytest.param(99.95, 503, 0, 1, id="when it begins"),
        pytest.param(150.0, 404, 1, 0, id="an invented 404"),
        pytest.param(150.0, 0, 1, 0, id="no answer"),
        pytest.param(50.0, 503, 1, 0, id="before it"),
        pytest.param(202.0, 503, 1, 0, id="after it"),
    ],
)
def test_errors(begun: float, status: int, errors: int, allowed: int) -> None:
    verdict = judged(entry("blob", begun, status=status), allowed=BLOBS)
    assert (len(verdict.errors), verdict.allowed) == (errors, allowed)
    assert len(judged(entry("manifest", begun, status=status), allowed=BLOBS).errors) == 1


def test_what_is_known_to_be_here_is_served() -> None:
    assert judged(replace(entry("blob", 150.0, status=503), reason="digest-present"), allowed=BLOBS).errors


def test_the_primarys_own_error_while_it_writes_a_tag() -> None:
    read = entry("tag", 10.05, status=500)
    assert (judged(*PUSHES, read).errors, judged(*PUSHES, read).allowed) == ([], 1)
    assert judged(*PUSHES, replace(read, begun=15.0, ended=15.1)).errors
    assert judged(*PUSHES, replace(read, site="secondary")).errors


def test_what_was_deleted_and_is_read() -> None:
    assert judged(entry("gone", 150.0)).errors
    assert not judged(entry("gone", 150.0, status=404)).errors


def test_a_deletion_that_cannot_be_recorded() -> None:
    refused = replace(entry("delete", 50.0, status=503), site="none", reason="evidence-unavailable")
    shown = replace(refused, retry_after="1", note='{"errors": [{"code": "UNAVAILABLE"}]}')
    assert (judged(shown).broken, judged(shown).allowed) == ([], 1)
    assert judged(replace(shown, retry_after="")).broken
    assert judged(replace(shown, reason="write")).broken


def test_envoys_own_refusals_can_be_shown_and_tried_again() -> None:
    refused = replace(entry("blob", 150.0, status=503), site="none", retry_after="5")
    shown = replace(refused, note='{"errors": [{"code": "UNAVAILABLE"}]}')
    assert not judged(shown, allowed=BLOBS).broken
    assert judged(replace(shown, retry_after=""), allowed=BLOBS).broken
    assert judged(replace(refused, note="no healthy upstream"), allowed=BLOBS).broken


def test_recovery_is_when_tags_and_bytes_are_local_again() -> None:
    local = [replace(each, site="secondary") for each in (entry("tag", 203.0), entry("blob", 201.0))]
    assert judged(*PUSHES[:1], *local).recovered_after == pytest.approx(3.1)
    assert judged(local[1]).recovered_after is None
    assert judged(*PUSHES[:1], entry("tag", 203.0), local[1]).recovered_after is None
