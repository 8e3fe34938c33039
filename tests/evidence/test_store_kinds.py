"""A digest may be a manifest and a blob of one name: a delete is of both, and each is lifted by itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from extproc.evidence.model import ContentKind, DigestState, Invalidation, Observation
from extproc.oci.reference import Digest
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, SHORT, TAG, NewSubject, Subject

Delete = Callable[[], Coroutine[Any, Any, object]]
DELETED, UNKNOWN, PRESENT = DigestState.DELETED, DigestState.UNKNOWN, DigestState.PRESENT
ABSENT = DigestState.ABSENT


async def _read(subject: Subject, kind: ContentKind, digest: Digest = D1) -> None:
    """The primary served the digest as this kind."""
    assert await subject.learn(Observation(digest, kind=kind, primary_has=True))


async def _states(subject: Subject, digest: Digest = D1) -> tuple[DigestState, DigestState]:
    """As a manifest and as a blob."""
    evidence = await subject.store.decide(NAME, digest)
    return evidence.state_as(ContentKind.MANIFEST), evidence.state_as(ContentKind.BLOB)


def _both(kind: ContentKind, of: DigestState, other: DigestState) -> tuple[DigestState, DigestState]:
    return (of, other) if kind is ContentKind.MANIFEST else (other, of)


@pytest.fixture(params=ContentKind, ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> ContentKind:
    return ContentKind(request.param)


@pytest.fixture(params=["tombstone", "drop"])
def delete(request: pytest.FixtureRequest, subject: Subject) -> Delete:
    """D1 is deleted as both, by itself or with the whole name."""
    if request.param == "tombstone":
        return lambda: subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    return lambda: subject.store.primary_dropped(NAME)


async def test_a_delete_is_of_the_manifest_and_of_the_blob(subject: Subject, delete: Delete) -> None:
    await delete()
    assert await _states(subject) == (DELETED, DELETED)


async def test_the_primarys_answer_lifts_what_it_served_only(
    subject: Subject, delete: Delete, kind: ContentKind
) -> None:
    await delete()
    for _ in range(2):
        await _read(subject, kind)
        assert await _states(subject) == _both(kind, UNKNOWN, DELETED)
    await _read(subject, kind.other)
    assert await _states(subject) == (UNKNOWN, UNKNOWN)


async def test_what_the_secondary_has_of_the_other_is_kept(
    subject: Subject, delete: Delete, kind: ContentKind
) -> None:
    await delete()
    await _read(subject, kind)
    await subject.store.secondary_has(NAME, [D1])
    assert await _states(subject) == _both(kind, PRESENT, DELETED)
    assert (await subject.store.decide(NAME, D1)).confirmed is not None
    await subject.store.secondary_lost(NAME, D1)
    assert await _states(subject) == _both(kind, UNKNOWN, DELETED)
    assert await subject.learn(Observation(D1, secondary=ABSENT))
    assert await _states(subject) == _both(kind, ABSENT, DELETED)
    assert await subject.learn(Observation(D1, secondary=PRESENT))
    assert await _states(subject) == _both(kind, PRESENT, DELETED)
    await _read(subject, kind.other)
    assert await _states(subject) == (PRESENT, PRESENT)


async def test_a_later_delete_is_of_both_again(subject: Subject, delete: Delete, kind: ContentKind) -> None:
    await delete()
    await _read(subject, kind)
    await subject.store.secondary_has(NAME, [D1])
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    assert await _states(subject) == (DELETED, DELETED)
    await _read(subject, kind.other)
    assert await _states(subject) == _both(kind.other, UNKNOWN, DELETED)


async def test_a_later_drop_is_of_both_again(subject: Subject, delete: Delete, kind: ContentKind) -> None:
    await delete()
    await _read(subject, kind)
    await subject.store.primary_dropped(NAME)
    assert await _states(subject) == (DELETED, DELETED)
    await _read(subject, kind.other)
    assert await _states(subject) == _both(kind.other, UNKNOWN, DELETED)


async def test_a_lease_is_on_a_manifest(subject: Subject, delete: Delete) -> None:
    await delete()
    await _read(subject, ContentKind.BLOB)
    # Renewed by a listing, say: no proof that the primary has it.
    assert await subject.learn(Observation(D1, tag=TAG, media_type=MEDIA))
    evidence = await subject.tag()
    assert evidence.lease is not None
    assert evidence.state_as(ContentKind.MANIFEST) is DELETED


async def test_the_kinds_of_one_digest_are_not_those_of_another(subject: Subject, kind: ContentKind) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D3))
    await _read(subject, kind)
    await _read(subject, kind.other, D3)
    assert await _states(subject) == _both(kind, UNKNOWN, DELETED)
    assert await _states(subject, D3) == _both(kind, DELETED, UNKNOWN)


async def test_what_one_kind_is_still_deleted_as_never_expires(new: NewSubject, kind: ContentKind) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await _read(subject, kind)
    await subject.store.secondary_has(NAME, [D1])
    epoch = await subject.epoch()
    await subject.advance(SHORT + 0.002)
    assert await subject.epoch() == epoch
    assert await _states(subject) == _both(kind, UNKNOWN, DELETED)
    # Many more, so that what no longer counts is swept: this does.
    await subject.store.secondary_has(NAME, [D2] * 100)
    assert await _states(subject) == _both(kind, UNKNOWN, DELETED)
    await _read(subject, kind.other)
    assert await _states(subject) == (UNKNOWN, UNKNOWN)
    await subject.advance(SHORT + 0.002)
    assert await subject.epoch() != epoch


async def test_a_digest_of_a_dropped_name_that_is_not_renewed_is_deleted_as_both(
    new: NewSubject, kind: ContentKind
) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_dropped(NAME)
    await _read(subject, kind)
    await subject.advance(SHORT + 0.002)
    assert await _states(subject) == (DELETED, DELETED)
    await _read(subject, kind.other)
    assert (await subject.store.decide(NAME, D1)).state_as(kind) is DELETED


async def test_an_awaited_manifest_arrives_once_the_primary_served_it(subject: Subject, kind: ContentKind) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.store.primary_changed(NAME, Invalidation(tag=TAG), pushed=D1)
    assert await subject.store.secondary_has(NAME, [D1]) == ()
    await _read(subject, kind)
    assert [each.digest for each in await subject.store.secondary_has(NAME, [D1])] == [D1]
