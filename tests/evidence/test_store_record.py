"""What is read and kept beside evidence, on every store: records, names, notes, claims; and many observations
at once. What is awaited is in test_store_awaiting.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from extproc.evidence.model import (
    Changed,
    ContentKind,
    DigestState,
    Invalidation,
    Known,
    Observation,
    Record,
    Snapshot,
)
from extproc.evidence.store import LONGEST_STEP, Store
from extproc.oci.reference import Digest, Name, Tag
from tests.evidence.subject import D1, D2, D3, MEDIA, NAME, OTHER, SHORT, TAG, NewSubject, Subject

NOTHING = Invalidation()
PRESENT = Observation(D1, secondary=DigestState.PRESENT)


def _digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


# Many observations at once


async def test_all_observations_are_taken(subject: Subject) -> None:
    other = Tag("v2")
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D3))
    assert await subject.learn(
        Observation(D1, tag=TAG, media_type=MEDIA, secondary=DigestState.PRESENT, primary_has=True),
        Observation(D2, tag=other, media_type=MEDIA, secondary=DigestState.ABSENT, primary_has=True),
        Observation(D3, primary_has=True),
    )
    record = await subject.record()
    assert {tag: lease.digest for tag, lease in record.leases.items()} == {TAG: D1, other: D2}
    assert {digest: known.state for digest, known in record.digests.items()} == {
        D1: DigestState.PRESENT,
        D2: DigestState.ABSENT,
        D3: DigestState.UNKNOWN,
    }
    assert record.digests[D3].deleted_as is ContentKind.BLOB


async def test_more_observations_than_fit_a_step_are_taken(subject: Subject) -> None:
    count = 2 * LONGEST_STEP + 1
    seen = [
        Observation(_digest(n), tag=Tag(f"v{n}"), media_type=MEDIA, secondary=DigestState.PRESENT, primary_has=True)
        for n in range(count)
    ]
    assert await subject.learn(*seen)
    record = await subject.record()
    assert {tag: lease.digest for tag, lease in record.leases.items()} == {each.tag: each.digest for each in seen}
    assert len(record.digests) == count


async def test_none_is_taken_across_a_write(subject: Subject) -> None:
    before = (await subject.tag()).snapshot
    await subject.store.primary_changed(NAME, NOTHING)
    assert await subject.store.learn_all(NAME, before, [PRESENT, Observation(D2, tag=TAG, media_type=MEDIA)]) is False
    record = await subject.record()
    assert (record.leases, record.digests) == ({}, {})


async def test_no_observations_say_whether_the_snapshot_holds(subject: Subject) -> None:
    before = (await subject.tag()).snapshot
    assert await subject.store.learn_all(NAME, before, []) is True
    await subject.store.primary_changed(NAME, NOTHING)
    assert await subject.store.learn_all(NAME, before, []) is False
    assert await subject.store.learn_all(NAME, Snapshot(b"", b"", 0), []) is False


async def test_of_one_digest_the_later_observation_counts(subject: Subject) -> None:
    assert await subject.learn(PRESENT, Observation(D1, secondary=DigestState.ABSENT))
    assert await subject.state(D1) is DigestState.ABSENT


async def test_a_tombstone_lifted_by_one_observation_is_lifted_for_the_next(subject: Subject) -> None:
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    assert await subject.learn(PRESENT, Observation(D1, primary_has=True), Observation(D2, primary_has=True), PRESENT)
    assert await subject.state(D1) is DigestState.PRESENT


async def test_one_digest_lifted_twice_lifts_no_other_tombstone(new: NewSubject) -> None:
    subject = new(name_ttl=SHORT)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D1))
    await subject.store.primary_changed(NAME, Invalidation(tombstone=D2))
    assert await subject.learn(Observation(D1, primary_has=True), Observation(D1, primary_has=True))
    await subject.advance(SHORT + 0.002)
    assert await subject.state(D2) is DigestState.DELETED


# What an invalidation found


async def _held(subject: Subject) -> None:
    await subject.lease()


async def _nothing(subject: Subject) -> None:
    pass


async def _of_another_tag(subject: Subject) -> None:
    await subject.lease(Tag("v2"))


async def _voided(subject: Subject) -> None:
    await subject.lease()
    await subject.store.void_leases()


async def _dropped_with_all(subject: Subject) -> None:
    await subject.lease()
    await subject.store.primary_changed(NAME, Invalidation(all_leases=True))


async def _dropped_before(subject: Subject) -> None:
    await subject.lease()
    await subject.store.primary_changed(NAME, Invalidation(tag=TAG))


async def _from_the_future(subject: Subject) -> None:
    now = (await subject.tag()).snapshot
    ahead = Snapshot(now.epoch, now.generation, now.at + 3_600_000_000)
    await subject.store.learn(NAME, ahead, Observation(D1, tag=TAG, media_type=MEDIA))


@pytest.mark.parametrize(
    ("before", "what", "dropped"),
    [
        pytest.param(_held, Invalidation(tag=TAG), True, id="held"),
        pytest.param(_held, Invalidation(tag=TAG, all_leases=True, tombstone=D1), True, id="held-with-all"),
        pytest.param(_held, Invalidation(all_leases=True), False, id="no-tag-named"),
        pytest.param(_held, NOTHING, False, id="nothing-named"),
        pytest.param(_nothing, Invalidation(tag=TAG), False, id="none"),
        pytest.param(_of_another_tag, Invalidation(tag=TAG), False, id="of-another-tag"),
        pytest.param(_voided, Invalidation(tag=TAG), False, id="voided"),
        pytest.param(_dropped_with_all, Invalidation(tag=TAG), False, id="dropped-with-all"),
        pytest.param(_dropped_before, Invalidation(tag=TAG), False, id="dropped-before"),
        pytest.param(_from_the_future, Invalidation(tag=TAG), False, id="from-the-future"),
    ],
)
async def test_an_invalidation_says_whether_it_dropped_a_lease_that_held(
    subject: Subject, before: Callable[[Subject], Awaitable[None]], what: Invalidation, dropped: bool
) -> None:
    await before(subject)
    assert await subject.store.primary_changed(NAME, what) == Changed(lease_dropped=dropped)


# Records


async def test_the_record_of_an_unknown_name_is_empty_and_stays_so(subject: Subject) -> None:
    assert await subject.record() == Record(NAME)
    assert await subject.record() == Record(NAME)
    assert await subject.names() == []


async def test_a_record_shows_all_that_counts(subject: Subject) -> None:
    await subject.store.begin_write(NAME, "late", NOTHING, 600.0)
    await subject.store.begin_write(NAME, "soon", NOTHING, 60.0)
    await subject.store.primary_changed(NAME, Invalidation(tombstone=_digest(1)))
    await subject.learn(
        Observation(D3, tag=TAG, media_type=MEDIA),
        PRESENT,
        Observation(D2, secondary=DigestState.ABSENT),
    )
    await subject.advance(SHORT)
    record = await subject.record()
    assert (record.name, record.dropped) == (NAME, False)
    lease = record.leases[TAG]
    assert (len(record.leases), lease.digest, lease.media_type) == (1, D3, MEDIA)
    assert SHORT <= lease.age < 60
    assert {digest: known.state for digest, known in record.digests.items()} == {
        D1: DigestState.PRESENT,
        D2: DigestState.ABSENT,
        _digest(1): DigestState.DELETED,
    }
    confirmed = {digest: known.confirmed for digest, known in record.digests.items()}
    assert confirmed.pop(D1) is not None
    assert set(confirmed.values()) == {None}
    assert [0 < left <= ttl for left, ttl in zip(record.marks, (60.0, 600.0), strict=True)] == [True, True]


async def test_a_record_leaves_out_what_does_not_count(new: NewSubject) -> None:
    subject = new(absent_ttl=SHORT)
    await subject.store.begin_write(NAME, "m", NOTHING, SHORT)
    await subject.learn(Observation(D1, tag=TAG, media_type=MEDIA, secondary=DigestState.ABSENT))
    await subject.advance(SHORT)
    await subject.store.void_leases()
    await subject.lease(Tag("dropped"))
    await subject.store.primary_changed(NAME, Invalidation(all_leases=True))
    await _from_the_future(subject)
    assert await subject.record() == Record(NAME)


async def test_the_record_of_a_dropped_name_has_what_the_primary_served_since(subject: Subject) -> None:
    await subject.store.secondary_has(NAME, [D1, D2])
    await subject.store.primary_dropped(NAME)
    assert await subject.record() == Record(NAME, dropped=True)
    await subject.learn(
        Observation(D1, secondary=DigestState.PRESENT, primary_has=True), Observation(D3, primary_has=True)
    )
    record = await subject.record()
    assert record.dropped
    known = record.digests
    assert {D1, D3} == set(known)
    assert (known[D1].state, known[D1].deleted_as) == (DigestState.PRESENT, ContentKind.BLOB)
    assert known[D3] == Known(DigestState.UNKNOWN, deleted_as=ContentKind.BLOB)
    await subject.learn(Observation(D3, kind=ContentKind.BLOB, primary_has=True))
    assert set((await subject.record()).digests) == {D1}


async def test_a_record_is_of_one_name(subject: Subject) -> None:
    await subject.lease()
    assert await subject.record(OTHER) == Record(OTHER)


async def test_looking_does_not_keep_a_name(new: NewSubject) -> None:
    subject = new(name_ttl=2 * SHORT)
    await subject.lease()
    await subject.advance(SHORT + 0.002)
    await subject.record()
    await subject.names()
    await subject.advance(SHORT + 0.002)
    assert await subject.names() == []


async def test_looking_changes_no_epoch(subject: Subject) -> None:
    before = (await subject.tag()).snapshot
    await subject.record()
    await subject.names()
    assert await subject.store.learn(NAME, before, PRESENT) is True


# Names


async def _appear(subject: Subject, names: list[Name]) -> None:
    """Few at once: how long a call may wait for a connection is not what is tested."""
    for start in range(0, len(names), 50):
        await asyncio.gather(*(subject.store.decide(name, TAG) for name in names[start : start + 50]))


async def test_each_name_is_given_once_and_nothing_else(subject: Subject) -> None:
    expected = {Name(f"group/n{number}") for number in range(2500)}
    await _appear(subject, sorted(expected))
    await subject.store.note("topic", "text")
    await subject.store.note("{group/app}", "text")
    await subject.store.claim("{group/app}", "me", 60.0)
    await subject.store.void_leases()
    given = await subject.names()
    assert set(given) == expected
    assert len(given) == len(expected)
    assert sorted([name async for name in subject.store.names()]) == sorted(given)


async def test_names_that_stay_are_given_while_others_come(subject: Subject) -> None:
    expected = {Name(f"group/n{number}") for number in range(500)}
    await _appear(subject, sorted(expected))
    given: list[Name] = []
    async for page in subject.store.pages():
        given += page
        if len(given) < 2500:
            await _appear(subject, [Name(f"more/n{len(given)}-{number}") for number in range(500)])
    assert expected <= set(given)
    assert len(given) == len(set(given))


# Notes


async def test_a_note_is_kept_replaced_and_removed(subject: Subject) -> None:
    assert await subject.store.noted("run") is None
    await subject.store.note("run", "erster Lauf: 5 µs")
    assert await subject.store.noted("run") == "erster Lauf: 5 µs"
    assert await subject.store.noted("other") is None
    await subject.store.note("run", "")
    assert await subject.store.noted("run") == ""
    await subject.store.note("run", None)
    await subject.store.note("run", None)
    assert await subject.store.noted("run") is None


async def test_notes_claims_and_names_do_not_meet(subject: Subject) -> None:
    for topic in ("site", "{group/app}", "group/app"):
        await subject.store.note(topic, "text")
        assert await subject.store.claim(topic, "me", 60.0)
        assert await subject.store.noted(topic) == "text"
    await subject.lease()
    assert (await subject.tag()).lease is not None


# Claims


async def test_a_claim_is_held_by_one(subject: Subject) -> None:
    assert await subject.store.claim("run", "a", 60.0)
    assert not await subject.store.claim("run", "b", 60.0)
    assert await subject.store.claim("run", "a", 60.0)
    assert await subject.store.claim("other", "b", 60.0)


async def test_a_claim_not_renewed_is_free(subject: Subject) -> None:
    assert await subject.store.claim("run", "a", SHORT)
    await subject.advance(SHORT + 0.002)
    assert await subject.store.claim("run", "b", 60.0)
    assert not await subject.store.claim("run", "a", 60.0)


async def test_a_claim_renewed_is_held_from_then_on(subject: Subject) -> None:
    assert await subject.store.claim("run", "a", SHORT)
    assert await subject.store.claim("run", "a", 60.0)
    await subject.advance(SHORT + 0.002)
    assert not await subject.store.claim("run", "b", 60.0)


async def test_only_its_holder_releases_a_claim(subject: Subject) -> None:
    await subject.store.release("run", "a")
    assert await subject.store.claim("run", "a", 60.0)
    await subject.store.release("run", "b")
    assert not await subject.store.claim("run", "b", 60.0)
    await subject.store.release("run", "a")
    assert await subject.store.claim("run", "b", 60.0)


async def test_of_many_who_claim_one_wins(subject: Subject) -> None:
    async def claim(store: Store, owner: int) -> bool:
        return await store.claim("run", str(owner), 60.0)

    won = await asyncio.gather(*(claim(subject.store, owner) for owner in range(20)))
    assert won.count(True) == 1
