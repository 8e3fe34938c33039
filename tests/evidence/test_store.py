"""The rules of the evidence model, on every store. A store that passes may serve."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from extproc.evidence.mark import unseen_mark
from extproc.evidence.model import ContentKind, DigestState, Invalidation, Observation, Snapshot
from extproc.oci.reference import Digest, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, SHORT, TAG, NewSubject, Subject


async def _read(subject: Subject, kind: ContentKind, digest: Digest = D1) -> None:
    """The primary served the digest as this kind."""
    assert await subject.learn(Observation(digest, kind=kind, primary_has=True))


# Decide


async def test_an_unknown_name_has_no_evidence(subject: Subject) -> None:
    by_tag, by_digest = await subject.tag(), await subject.store.decide(NAME, D1)
    assert (by_tag.lease, by_tag.digest, by_tag.marked) == (None, DigestState.UNKNOWN, False)
    assert (by_digest.lease, by_digest.digest, by_digest.confirmed) == (None, DigestState.UNKNOWN, None)


async def test_decide_creates_the_epoch_once(subject: Subject) -> None:
    first, second = (await subject.tag()).snapshot, (await subject.store.decide(NAME, D1)).snapshot
    assert first.epoch == second.epoch != b""
    assert first.generation == second.generation != b""


async def test_names_have_epochs_of_their_own(subject: Subject) -> None:
    assert await subject.epoch(NAME) != await subject.epoch(OTHER)


async def test_the_snapshot_bears_the_stores_time(subject: Subject) -> None:
    first = (await subject.tag()).snapshot.at
    await subject.advance(SHORT)
    assert (await subject.tag()).snapshot.at - first >= SHORT * 1e6


# Learn: leases


async def test_a_lease_is_read_as_it_was_learned(subject: Subject) -> None:
    await subject.lease(digest=D3)
    lease = (await subject.tag()).lease
    assert lease is not None
    assert (lease.digest, lease.media_type) == (D3, MEDIA)


async def test_a_lease_is_as_old_as_the_request_not_as_the_answer(subject: Subject) -> None:
    snapshot = (await subject.tag()).snapshot
    await subject.advance(SHORT)
    await subject.store.learn(NAME, snapshot, Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True))
    lease = (await subject.tag()).lease
    assert lease is not None
    assert lease.age >= SHORT


async def test_a_lease_comes_with_the_state_of_its_digest(subject: Subject) -> None:
    await subject.lease()
    assert (await subject.tag()).digest is DigestState.UNKNOWN
    await subject.served(D1, DigestState.PRESENT)
    evidence = await subject.tag()
    assert evidence.digest is DigestState.PRESENT
    assert evidence.confirmed is not None
    assert 0 <= evidence.confirmed < 60


async def test_a_lease_on_a_deleted_digest_says_deleted(subject: Subject) -> None:
    await subject.lease()
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    evidence = await subject.tag()
    assert evidence.lease is not None
    assert evidence.digest is DigestState.DELETED


async def test_a_read_by_digest_has_no_lease(subject: Subject) -> None:
    await subject.lease()
    assert (await subject.store.decide(NAME, D1)).lease is None


async def test_the_newer_lease_replaces_the_older(subject: Subject) -> None:
    await subject.lease(digest=D1)
    await subject.lease(digest=D2)
    lease = (await subject.tag()).lease
    assert lease is not None
    assert lease.digest == D2


async def test_leases_are_of_one_name(subject: Subject) -> None:
    await subject.lease()
    assert (await subject.tag(name=OTHER)).lease is None


async def test_a_lease_from_the_future_is_void(subject: Subject) -> None:
    """Another node's clock after a failover: nobody knows how old it is."""
    now = (await subject.tag()).snapshot
    ahead = Snapshot(now.epoch, now.generation, now.at + 3_600_000_000)
    await subject.store.learn(NAME, ahead, Observation(D1, tag=TAG, media_type=MEDIA))
    assert (await subject.tag()).lease is None


# Learn: the comparison


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.begin_write(NAME, "m", Invalidation(), 60.0), id="begin-write"),
        pytest.param(lambda s: s.end_write(NAME, "m", Invalidation()), id="end-write"),
        pytest.param(lambda s: s.primary_changed(NAME, Invalidation()), id="primary-changed"),
        pytest.param(lambda s: s.primary_dropped(NAME), id="primary-dropped"),
    ],
)
async def test_nothing_is_learned_across(
    subject: Subject, change: Callable[[Any], Coroutine[Any, Any, None]]
) -> None:
    before = (await subject.tag()).snapshot
    await change(subject.store)
    seen = Observation(D1, tag=TAG, media_type=MEDIA, secondary=DigestState.PRESENT, primary_has=True)
    assert await subject.store.learn(NAME, before, seen) is False
    after = await subject.tag()
    assert after.lease is None
    assert after.snapshot.epoch != before.epoch
    assert await subject.state(D1) is not DigestState.PRESENT


async def test_what_the_secondary_reports_does_not_change_the_epoch(subject: Subject) -> None:
    before = await subject.epoch()
    await subject.store.secondary_has(NAME, [D1])
    await subject.store.secondary_lost(NAME, D1)
    assert await subject.epoch() == before


async def test_an_empty_epoch_matches_nothing(subject: Subject) -> None:
    seen = Observation(D1, secondary=DigestState.PRESENT)
    assert await subject.store.learn(NAME, Snapshot(b"", b"", 0), seen) is False
    assert await subject.store.learn(NAME, Snapshot(b"unheard", b"", 0), seen) is False
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_an_empty_generation_makes_no_lease(subject: Subject) -> None:
    now = (await subject.tag()).snapshot
    seen = Observation(D1, tag=TAG, media_type=MEDIA, secondary=DigestState.PRESENT)
    assert await subject.store.learn(NAME, Snapshot(now.epoch, b"", now.at), seen) is True
    assert (await subject.tag()).lease is None
    assert await subject.state(D1) is DigestState.PRESENT


# Learn: digests


async def test_present_is_learned(subject: Subject) -> None:
    await subject.served(D1, DigestState.PRESENT)
    assert await subject.state(D1) is DigestState.PRESENT
    assert await subject.state(D2) is DigestState.UNKNOWN


async def test_present_grows_old(subject: Subject) -> None:
    await subject.served(D1, DigestState.PRESENT)
    await subject.advance(SHORT)
    confirmed = (await subject.store.decide(NAME, D1)).confirmed
    assert confirmed is not None
    assert confirmed >= SHORT


async def test_absent_replaces_present_and_passes(new: NewSubject) -> None:
    subject = new(absent_ttl=SHORT)
    await subject.served(D1, DigestState.PRESENT)
    await subject.served(D1, DigestState.ABSENT)
    await subject.advance(SHORT)
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_absent_holds_for_its_time(subject: Subject) -> None:
    await subject.served(D1, DigestState.ABSENT)
    await subject.advance(SHORT)
    assert await subject.state(D1) is DigestState.ABSENT


# Writes


async def test_a_mark_is_seen_until_its_end(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "m", Invalidation(), 60.0)
    assert (await subject.tag()).marked
    assert (await subject.store.decide(NAME, D1)).marked
    assert not (await subject.tag(name=OTHER)).marked
    await subject.store.end_write(NAME, "m", Invalidation())
    assert not (await subject.tag()).marked


async def test_a_mark_is_lifted_by_its_own_end_only(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "one", Invalidation(), 60.0)
    await subject.store.begin_write(NAME, "two", Invalidation(), 60.0)
    await subject.store.end_write(NAME, "one", Invalidation())
    assert (await subject.tag()).marked
    await subject.store.end_write(NAME, "two", Invalidation())
    assert not (await subject.tag()).marked


async def test_a_mark_expires_by_itself(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "m", Invalidation(), SHORT)
    await subject.advance(SHORT)
    assert not (await subject.tag()).marked


async def test_a_mark_set_again_has_the_later_end(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "m", Invalidation(), SHORT)
    await subject.store.begin_write(NAME, "m", Invalidation(), 60.0)
    await subject.advance(SHORT)
    assert (await subject.tag()).marked
    await subject.store.end_write(NAME, "m", Invalidation())
    assert not (await subject.tag()).marked


async def test_a_mark_set_again_never_ends_sooner(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "m", Invalidation(), 60.0)
    await subject.store.begin_write(NAME, "m", Invalidation(), SHORT)
    await subject.advance(SHORT)
    assert (await subject.tag()).marked


async def test_the_marks_of_unseen_writes_are_one_with_the_latest_end(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "seen", Invalidation(), 10.0)
    for ttl in (30.0, 60.0, *[SHORT] * 20):
        await subject.store.begin_write(NAME, unseen_mark(), Invalidation(tag=TAG), ttl)
    own, shared = (await subject.record()).marks
    assert own <= 10.0
    assert 30.0 < shared <= 60.0
    await subject.store.end_write(NAME, "seen", Invalidation())
    assert len((await subject.record()).marks) == 1
    assert (await subject.tag()).marked
    assert not (await subject.tag(name=OTHER)).marked


async def test_an_end_without_a_begin_invalidates_all_the_same(subject: Subject) -> None:
    await subject.lease()
    await subject.store.end_write(NAME, "m", Invalidation(tag=TAG, tombstone=D1))
    assert (await subject.tag()).lease is None
    assert await subject.state(D1) is DigestState.DELETED


@pytest.mark.parametrize("operation", ["begin", "end", "changed"])
async def test_a_write_of_a_tag_drops_that_lease_only(subject: Subject, operation: str) -> None:
    other = Tag("v2")
    await subject.lease()
    await subject.lease(other)
    await _invalidate(subject, operation, Invalidation(tag=TAG))
    assert (await subject.tag()).lease is None
    assert (await subject.tag(other)).lease is not None


@pytest.mark.parametrize("operation", ["begin", "end", "changed"])
async def test_a_delete_by_digest_drops_all_leases_and_leaves_a_tombstone(subject: Subject, operation: str) -> None:
    await subject.lease()
    await subject.lease(Tag("v2"), D2)
    await subject.served(D1, DigestState.PRESENT)
    await _invalidate(subject, operation, Invalidation(all_leases=True, tombstone=D1))
    assert (await subject.tag()).lease is None
    assert (await subject.tag(Tag("v2"))).lease is None
    assert await subject.state(D1) is DigestState.DELETED
    assert await subject.state(D2) is DigestState.UNKNOWN


async def test_leases_are_learned_again_after_all_were_dropped(subject: Subject) -> None:
    await subject.lease()
    await subject.store.primary_changed(NAME, Invalidation(all_leases=True))
    await subject.lease(digest=D2)
    lease = (await subject.tag()).lease
    assert lease is not None
    assert lease.digest == D2


async def _invalidate(subject: Subject, operation: str, what: Invalidation) -> None:
    match operation:
        case "begin":
            await subject.store.begin_write(NAME, "m", what, 60.0)
        case "end":
            await subject.store.end_write(NAME, "m", what)
        case _:
            await subject.store.primary_changed(NAME, what)


# The secondary's notifications


async def test_what_the_secondary_has_is_present_and_no_longer_absent(subject: Subject) -> None:
    await subject.served(D1, DigestState.ABSENT)
    await subject.store.secondary_has(NAME, (digest for digest in (D1, D3)))
    assert await subject.state(D1) is DigestState.PRESENT
    assert await subject.state(D3) is DigestState.PRESENT


async def test_no_references_are_no_news(subject: Subject) -> None:
    await subject.store.secondary_has(NAME, [])
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_what_the_secondary_lost_is_unknown(subject: Subject) -> None:
    await subject.store.secondary_has(NAME, [D1, D2])
    await subject.store.secondary_lost(NAME, D1)
    await subject.store.secondary_lost(NAME, D3)
    assert await subject.state(D1) is DigestState.UNKNOWN
    assert await subject.state(D2) is DigestState.PRESENT
    assert await subject.state(D3) is DigestState.UNKNOWN


async def test_what_the_secondary_lost_stays_absent(subject: Subject) -> None:
    await subject.served(D1, DigestState.ABSENT)
    await subject.store.secondary_lost(NAME, D1)
    assert await subject.state(D1) is DigestState.ABSENT


async def test_the_secondary_touches_no_lease(subject: Subject) -> None:
    await subject.lease()
    await subject.store.secondary_has(NAME, [D1])
    await subject.store.secondary_lost(NAME, D1)
    assert (await subject.tag()).lease is not None


# Site-wide


async def test_void_leases_voids_those_of_every_name_and_nothing_else(subject: Subject) -> None:
    await subject.lease()
    await subject.served(D1, DigestState.PRESENT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    await subject.store.void_leases()
    evidence = await subject.tag()
    assert evidence.lease is None
    assert evidence.digest is DigestState.UNKNOWN
    assert await subject.state(D1) is DigestState.PRESENT
    assert await subject.state(D2) is DigestState.DELETED


async def test_a_lease_learned_from_before_the_void_is_void(subject: Subject) -> None:
    before = (await subject.tag()).snapshot
    await subject.store.void_leases()
    await subject.store.learn(NAME, before, Observation(D1, tag=TAG, media_type=MEDIA))
    assert (await subject.tag()).lease is None


async def test_leases_are_learned_again_after_the_void(subject: Subject) -> None:
    await subject.store.void_leases()
    await subject.lease()
    assert (await subject.tag()).lease is not None


# Expiry


async def test_an_idle_name_expires_with_all_it_has(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    epoch = await subject.epoch()
    await subject.advance(SHORT + 0.002)
    assert await subject.epoch() != epoch
    await subject.store.secondary_has(NAME, [D1])
    await subject.advance(SHORT + 0.002)
    assert await subject.state(D1) is DigestState.UNKNOWN


async def test_a_name_outlives_its_tombstones_only(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    epoch = await subject.epoch()
    await subject.advance(SHORT + 0.002)
    assert await subject.state(D1) is DigestState.DELETED
    assert await subject.epoch() == epoch
    await _read(subject, ContentKind.MANIFEST)
    await _read(subject, ContentKind.BLOB)
    await subject.advance(SHORT + 0.002)
    assert await subject.epoch() != epoch


async def test_a_tombstone_set_twice_is_lifted_once(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.begin_write(NAME, "m", Invalidation(tombstone=D1), 0.001)
    await subject.store.end_write(NAME, "m", Invalidation(tombstone=D1))
    await _read(subject, ContentKind.MANIFEST)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await _read(subject, ContentKind.BLOB)
    await _read(subject, ContentKind.MANIFEST)
    epoch = await subject.epoch()
    await subject.advance(SHORT + 0.002)
    assert await subject.epoch() != epoch


async def test_a_dropped_name_never_expires(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_dropped(NAME)
    await subject.advance(SHORT + 0.002)
    assert await subject.state(D1) is DigestState.DELETED


async def test_a_name_never_expires_before_its_marks(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.begin_write(NAME, "m", Invalidation(), 60.0)
    epoch = await subject.epoch()
    await subject.advance(SHORT + 0.002)
    assert (await subject.tag()).marked
    assert await subject.epoch() == epoch


async def test_in_a_busy_name_a_lease_not_renewed_is_forgotten(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    await subject.lease()
    await subject.advance(SHORT + 0.002)
    assert (await subject.tag()).lease is None


async def test_the_store_answers_ping(subject: Subject) -> None:
    await subject.store.ping()
