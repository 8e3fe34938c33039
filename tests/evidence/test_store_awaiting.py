"""Manifests pushed on the primary and awaited at the secondary, on every store."""

from __future__ import annotations

import pytest

from extproc.evidence.model import Arrived, Changed, DigestState, Invalidation, Observation, Record
from extproc.evidence.store import LONGEST_STEP
from extproc.oci.reference import Digest, Name
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, SHORT, TAG, NewSubject, Subject

PRESENT = Observation(D1, secondary=DigestState.PRESENT)


async def _push(subject: Subject, digest: Digest = D1, name: Name = NAME) -> None:
    await subject.store.primary_changed(name, Invalidation(tag=TAG), pushed=digest)


async def _awaited(subject: Subject) -> set[Digest]:
    return set((await subject.record()).awaited)


async def test_a_pushed_manifest_is_awaited_which_is_no_evidence(subject: Subject) -> None:
    await _push(subject)
    await subject.advance(SHORT)
    record = await subject.record()
    assert set(record.awaited) == {D1}
    assert SHORT <= record.awaited[D1] < 60
    assert (record.digests, record.leases, record.lag) == ({}, {}, None)
    by_tag, by_digest = await subject.tag(), await subject.store.decide(NAME, D1)
    assert (by_tag.lease, by_tag.marked, by_digest.digest) == (None, False, DigestState.UNKNOWN)


async def test_a_push_invalidates_as_any_change(subject: Subject) -> None:
    await subject.lease()
    before = await subject.epoch()
    assert await subject.store.primary_changed(NAME, Invalidation(tag=TAG), pushed=D2) == Changed(lease_dropped=True)
    assert await subject.epoch() != before
    assert (await subject.tag()).lease is None


async def test_what_was_awaited_arrives_once_with_its_lag(subject: Subject) -> None:
    await _push(subject)
    await _push(subject, D3)
    await subject.advance(SHORT)
    arrived = await subject.store.secondary_has(NAME, [D2, D1, D1])
    assert [each.digest for each in arrived] == [D1]
    assert SHORT <= arrived[0].lag < 60
    record = await subject.record()
    assert set(record.awaited) == {D3}
    assert record.lag == arrived[0].lag
    assert tuple(await subject.store.secondary_has(NAME, [D1, D2])) == ()
    assert (await subject.record()).lag == arrived[0].lag


async def test_many_arrive_at_once(subject: Subject) -> None:
    pushed = [Digest(f"sha256:{number:064x}") for number in range(2 * LONGEST_STEP + 1)]
    for digest in pushed[::100]:
        await _push(subject, digest)
    arrived = await subject.store.secondary_has(NAME, pushed)
    assert [each.digest for each in arrived] == pushed[::100]
    assert all(isinstance(each, Arrived) and each.lag >= 0 for each in arrived)
    assert len((await subject.record()).digests) == len(pushed)


async def test_the_secondary_serving_it_ends_awaiting_too(subject: Subject) -> None:
    await _push(subject)
    await subject.advance(SHORT)
    assert await subject.learn(PRESENT)
    record = await subject.record()
    assert record.awaited == {}
    assert record.lag is not None
    assert SHORT <= record.lag < 60


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(Observation(D2, secondary=DigestState.PRESENT), id="another-digest"),
        pytest.param(Observation(D1, secondary=DigestState.ABSENT), id="absent"),
        pytest.param(Observation(D1, tag=TAG, media_type=MEDIA, primary_has=True), id="the-primary-has-it"),
    ],
)
async def test_nothing_else_learned_ends_awaiting(subject: Subject, seen: Observation) -> None:
    await _push(subject)
    assert await subject.learn(seen)
    record = await subject.record()
    assert (set(record.awaited), record.lag) == ({D1}, None)


async def test_what_is_present_is_not_awaited(subject: Subject) -> None:
    await subject.store.secondary_has(NAME, [D1])
    await _push(subject)
    assert await _awaited(subject) == set()
    await subject.store.secondary_lost(NAME, D1)
    await _push(subject)
    await subject.store.secondary_lost(NAME, D1)
    assert await _awaited(subject) == {D1}


async def test_pushed_again_it_is_awaited_since_the_first_time(subject: Subject) -> None:
    await _push(subject)
    await subject.advance(SHORT)
    await _push(subject)
    assert (await subject.record()).awaited[D1] >= SHORT


async def test_it_is_awaited_under_its_name_only(subject: Subject) -> None:
    await _push(subject)
    assert tuple(await subject.store.secondary_has(OTHER, [D1])) == ()
    assert (await subject.record(OTHER)).awaited == {}
    assert await _awaited(subject) == {D1}


async def test_a_tombstone_ends_awaiting(subject: Subject) -> None:
    await _push(subject)
    await _push(subject, D2)
    await subject.store.begin_write(NAME, "m", Invalidation(tombstone=D1), 60.0)
    assert await _awaited(subject) == {D2}


async def test_a_drop_of_the_name_ends_awaiting_and_forgets_the_lag(subject: Subject) -> None:
    await _push(subject)
    await _push(subject, D2)
    await subject.store.secondary_has(NAME, [D2])
    await subject.store.primary_dropped(NAME)
    record = await subject.record()
    assert (record.awaited, record.lag) == ({}, None)


async def test_deleted_and_pushed_again_it_is_awaited_until_it_counts_as_present(subject: Subject) -> None:
    """The secondary may still report what it had before."""
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await _push(subject)
    assert tuple(await subject.store.secondary_has(NAME, [D1])) == ()
    assert await subject.state(D1) is DigestState.DELETED
    assert await _awaited(subject) == {D1}
    assert await subject.learn(Observation(D1, primary_has=True))
    assert [each.digest for each in await subject.store.secondary_has(NAME, [D1])] == [D1]


async def test_awaiting_ends_by_itself_also_in_a_busy_name(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    await _push(subject)
    await subject.advance(SHORT + 0.002)
    assert await _awaited(subject) == set()
    assert tuple(await subject.store.secondary_has(NAME, [D1])) == ()
    assert (await subject.record()).lag is None


async def test_awaited_for_too_long_it_is_awaited_anew(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    await _push(subject)
    await subject.advance(SHORT + 0.002)
    await _push(subject)
    arrived = await subject.store.secondary_has(NAME, [D1])
    assert [each.lag < SHORT for each in arrived] == [True]


async def test_awaiting_keeps_no_name(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await _push(subject)
    await _push(subject, D2)
    await subject.store.secondary_has(NAME, [D2])
    await subject.advance(SHORT + 0.002)
    assert await subject.names() == []
    assert await subject.record() == Record(NAME)
