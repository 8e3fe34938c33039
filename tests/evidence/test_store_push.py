"""A push is told before the registry has moved the tag (rule 6 of the store): on every store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extproc.evidence.model import Invalidation, Observation
from extproc.evidence.store import LONGEST_EXCHANGE
from extproc.oci.reference import Digest, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, SHORT, TAG, Subject

SETTLES = 10 * SHORT
"""Long enough to ask within it on a busy machine."""

BY_TAG = Invalidation(tag=TAG)


async def leased(subject: Subject, digest: Digest, tag: Tag = TAG) -> bool:
    """Whether an answer of the primary to a request of now becomes the tag's lease."""
    assert await subject.learn(Observation(digest, tag=tag, media_type=MEDIA, primary_has=True))
    lease = (await subject.tag(tag)).lease
    return lease is not None and lease.digest == digest


async def test_what_the_primary_still_answers_is_not_leased(subject: Subject) -> None:
    await subject.lease(digest=D1)
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    assert not await leased(subject, D1)
    assert (await subject.tag()).lease is None


async def test_what_was_pushed_is_leased_at_once_and_stays(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    assert await leased(subject, D2)
    # A slower reader, whose request was answered before the tag moved.
    assert not await leased(subject, D1)
    lease = (await subject.tag()).lease
    assert lease is not None
    assert lease.digest == D2


async def test_other_tags_and_names_are_leased_as_ever(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    assert await leased(subject, D1, Tag("other"))
    assert await subject.learn(Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True), name=OTHER)
    assert (await subject.tag(name=OTHER)).lease is not None


async def test_all_else_of_such_an_answer_is_learned(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    assert not await leased(subject, D1)
    assert (await subject.state(D1)).value == "unknown"


async def test_the_push_that_was_told_last_counts(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    await subject.store.primary_changed(NAME, Invalidation(tag=Tag("other")), pushed=D1)
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D3)
    assert not await leased(subject, D2)
    assert await leased(subject, D3)
    assert not await leased(subject, D3, Tag("other"))
    assert await leased(subject, D1, Tag("other"))


async def test_a_push_told_twice_is_still_leased(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    assert not await leased(subject, D1)
    assert await leased(subject, D2)


async def test_an_older_answer_replaces_no_newer_lease(subject: Subject) -> None:
    early = (await subject.store.decide(NAME, TAG)).snapshot
    late = (await subject.store.decide(NAME, TAG)).snapshot
    early = replace(early, at=late.at - 1000)
    assert await subject.store.learn(NAME, late, Observation(D2, tag=TAG, media_type=MEDIA))
    assert await subject.store.learn(NAME, early, Observation(D1, tag=TAG, media_type=MEDIA))
    lease = (await subject.store.decide(NAME, TAG)).lease
    assert lease is not None
    assert lease.digest == D2


async def test_what_was_asked_while_the_push_settled_is_not_leased_however_late_it_is_answered(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is of the time of the question: a slow one is as outdated after the push has settled."""
    for module in ("memory", "redis"):
        monkeypatch.setattr(f"extproc.evidence.{module}.PUSH_SETTLES", SETTLES)
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    asked = (await subject.store.decide(NAME, TAG)).snapshot
    await subject.advance(SETTLES)
    assert await subject.store.learn(NAME, asked, Observation(D1, tag=TAG, media_type=MEDIA))
    assert (await subject.store.decide(NAME, TAG)).lease is None


async def test_an_answer_that_came_after_ten_minutes_is_not_leased(subject: Subject) -> None:
    asked = (await subject.store.decide(NAME, TAG)).snapshot
    old = replace(asked, at=asked.at - round(LONGEST_EXCHANGE * 1e6) - 1)
    assert await subject.store.learn(NAME, old, Observation(D1, tag=TAG, media_type=MEDIA))
    assert (await subject.store.decide(NAME, TAG)).lease is None


@pytest.mark.parametrize(
    ("what", "pushed"),
    [
        pytest.param(BY_TAG, None, id="no push"),
        pytest.param(Invalidation(), D2, id="a push without a tag"),
        pytest.param(Invalidation(all_leases=True, tombstone=D2), None, id="a delete"),
    ],
)
async def test_other_changes_hinder_no_lease(subject: Subject, what: Invalidation, pushed: Digest | None) -> None:
    await subject.store.primary_changed(NAME, what, pushed=pushed)
    assert await leased(subject, D1)


async def test_after_a_while_the_tag_has_moved(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    for store in ("memory", "redis"):
        monkeypatch.setattr(f"extproc.evidence.{store}.PUSH_SETTLES", SHORT)
    await subject.store.primary_changed(NAME, BY_TAG, pushed=D2)
    await subject.advance(SHORT)
    assert await leased(subject, D1)
    # Nothing is kept of it any more.
    await subject.store.primary_changed(NAME, Invalidation(tag=Tag("other")), pushed=D3)
    assert await leased(subject, D1)
