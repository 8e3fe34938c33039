"""What was deleted on the primary, and what brings it back, on every store: tombstones and dropped names."""

from __future__ import annotations

import pytest

from extproc.evidence.model import DigestState, Invalidation
from tests.evidence.subject import D1, D2, NAME, OTHER, SHORT, TAG, NewSubject, Subject

# Tombstones


async def test_a_tombstone_overrides_absent(subject: Subject) -> None:
    await subject.served(D1, DigestState.ABSENT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    assert await subject.state(D1) is DigestState.DELETED


async def test_only_the_primarys_answer_lifts_a_tombstone(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.served(D1, DigestState.PRESENT)
    await subject.served(D1, DigestState.ABSENT)
    await subject.store.secondary_has(NAME, [D1])
    await subject.store.secondary_lost(NAME, D1)
    await subject.store.primary_changed(NAME, Invalidation(tag=TAG))
    await subject.store.void_leases()
    assert await subject.state(D1) is DigestState.DELETED
    await subject.served(D1, DigestState.UNKNOWN, primary=True)
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_lifting_and_present_may_come_in_one_observation(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.served(D1, DigestState.PRESENT, primary=True)
    assert await subject.state(D1) is DigestState.PRESENT


async def test_the_primarys_answer_lifts_one_tombstone_of_two(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    await subject.served(D1, DigestState.UNKNOWN, primary=True)
    assert await subject.state(D1) is DigestState.UNKNOWN
    assert await subject.state(D2) is DigestState.DELETED


# Dropped names


async def test_a_dropped_name_has_neither_leases_nor_digests(subject: Subject) -> None:
    await subject.lease()
    await subject.served(D1, DigestState.PRESENT)
    await subject.store.primary_dropped(NAME)
    assert (await subject.tag()).lease is None
    assert await subject.state(D1) is DigestState.DELETED
    assert await subject.state(D2) is DigestState.DELETED
    assert await subject.state(D1, OTHER) is DigestState.UNKNOWN


async def test_a_dropped_name_keeps_its_marks(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "m", Invalidation(), 60.0)
    await subject.store.primary_dropped(NAME)
    assert (await subject.tag()).marked


async def test_the_secondary_cannot_revive_a_dropped_name(subject: Subject) -> None:
    await subject.store.primary_dropped(NAME)
    await subject.store.secondary_has(NAME, [D1])
    await subject.served(D1, DigestState.PRESENT)
    await subject.served(D1, DigestState.ABSENT)
    assert await subject.state(D1) is DigestState.DELETED


@pytest.mark.parametrize("by", [DigestState.UNKNOWN, DigestState.PRESENT, DigestState.ABSENT])
async def test_the_primary_revives_a_dropped_name_digest_by_digest(subject: Subject, by: DigestState) -> None:
    await subject.store.primary_dropped(NAME)
    await subject.served(D1, by, primary=True)
    assert await subject.state(D1) is by
    assert await subject.state(D2) is DigestState.DELETED


async def test_a_revived_digest_stays_so_whatever_the_secondary_has(new: NewSubject) -> None:
    subject = new(absent_ttl=SHORT)
    await subject.store.primary_dropped(NAME)
    await subject.served(D1, DigestState.PRESENT, primary=True)
    await subject.store.secondary_lost(NAME, D1)
    assert await subject.state(D1) is DigestState.UNKNOWN
    await subject.served(D1, DigestState.ABSENT)
    await subject.advance(SHORT)
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_a_revived_digest_can_be_deleted_and_revived_again(subject: Subject) -> None:
    await subject.store.primary_dropped(NAME)
    await subject.served(D1, DigestState.PRESENT, primary=True)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    assert await subject.state(D1) is DigestState.DELETED
    await subject.served(D1, DigestState.UNKNOWN, primary=True)
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_leases_are_learned_again_after_a_drop(subject: Subject) -> None:
    await subject.store.primary_dropped(NAME)
    await subject.lease()
    evidence = await subject.tag()
    assert evidence.lease is not None
    assert evidence.digest is DigestState.UNKNOWN
