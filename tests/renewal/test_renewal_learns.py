"""What renewal learns, and what it does not; what becomes of leases that were dropped."""

from __future__ import annotations

import pytest

from extproc.evidence.model import DigestState, Invalidation, Lease
from extproc.oci.reference import Tag
from extproc.renewal.renewal import Outcome
from tests.renewal.site import D1, D2, KEY, NAME, TAG, Resolved, Site, nothing, warmed
from tests.support.heads import INDEX


async def test_the_lease_is_dated_from_before_the_question() -> None:
    site = await warmed()
    site.clock.advance(40)

    async def slow() -> None:
        site.clock.advance(7)

    site.primary.meanwhile = slow
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 7


async def test_a_moved_tag_is_followed() -> None:
    site = await warmed()
    site.primary.tags[KEY] = Resolved(D2, INDEX + "; charset=utf-8")
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert await site.lease() == Lease(D2, INDEX, 0.0)


async def test_a_write_during_the_question_wins() -> None:
    site = await warmed()
    site.clock.advance(40)

    async def write() -> None:
        await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 125)
        await site.store.end_write(NAME, "m", Invalidation(tag=TAG))

    site.primary.meanwhile = write
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert await site.lease() is None
    site.primary.meanwhile = nothing
    site.primary.tags[KEY] = Resolved(D2)
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2


async def test_nothing_is_asked_or_learned_under_a_mark() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 50)
    site.renewal.tag_written(NAME, TAG)
    outcomes = []
    for _ in range(49):
        outcomes += await site.look_at_due()
        site.clock.advance(1)
    assert set(outcomes) == {Outcome.SUPERSEDED}
    assert len(outcomes) < 8
    assert site.primary.asked == []
    assert await site.lease() is None
    site.clock.advance(20)
    assert await site.look_at_due() == [Outcome.RENEWED]


async def test_another_tags_write_does_not_make_a_young_lease_due() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=Tag("other")), 50)
    site.renewal.tag_written(NAME, TAG)
    assert await site.look_at_due() == [Outcome.CURRENT]


@pytest.mark.parametrize("when", ["before", "during"])
async def test_nothing_is_learned_while_an_invalidation_waits_for_the_store(when: str) -> None:
    site = await warmed()
    site.clock.advance(40)

    async def block() -> None:
        site.blocked.add(NAME)

    if when == "before":
        await block()
    else:
        site.primary.meanwhile = block
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert len(site.primary.asked) == (when == "during")
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 40
    site.blocked.clear()
    site.primary.meanwhile = nothing
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="404"),
        pytest.param(Resolved(D1, "application/vnd.docker.distribution.manifest.v1+prettyjws"), id="schema 1"),
        pytest.param(Resolved(D1, ""), id="no type"),
    ],
)
async def test_what_no_lease_may_carry_is_forgotten(answer: Resolved | None) -> None:
    site = await warmed()
    site.primary.tags = {KEY: answer} if answer else {}
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.GONE]
    assert len(site.hot) == 0
    lease = await site.lease()
    assert lease is not None
    assert lease.age == 40


async def test_a_tombstone_is_lifted_by_the_primarys_answer_as_by_any_other() -> None:
    site = await warmed()
    await site.store.primary_changed(NAME, Invalidation(all_leases=True, tombstone=D1))
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert (await site.store.decide(NAME, D1)).digest is not DigestState.DELETED


# What was dropped


async def test_a_push_through_here_is_renewed_at_once() -> None:
    site = await warmed()
    await site.store.begin_write(NAME, "m", Invalidation(tag=TAG), 125)
    site.primary.tags[KEY] = Resolved(D2)
    await site.store.end_write(NAME, "m", Invalidation(tag=TAG))
    site.renewal.tag_written(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2


async def test_a_push_of_a_tag_that_nobody_reads_is_not() -> None:
    site = Site()
    site.renewal.tag_written(NAME, TAG)
    site.clock.advance(100)
    assert await site.look_at_due() == []


async def test_a_dropped_lease_is_renewed_at_once_and_once_where_nobody_reads() -> None:
    site = Site()
    await site.learn()
    changed = await site.store.primary_changed(NAME, Invalidation(tag=TAG))
    assert changed.lease_dropped
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert len(site.hot) == 0


async def test_a_dropped_lease_is_found_at_the_next_look() -> None:
    site = await warmed()
    await site.store.primary_changed(NAME, Invalidation(all_leases=True))
    site.clock.advance(40)
    assert await site.look_at_due() == [Outcome.RENEWED]


async def test_a_push_that_was_told_before_it_moved_the_tag_is_looked_at_again() -> None:
    """distribution tells a push first: what the primary answers until the tag has moved leaves no lease."""
    site = await warmed()
    changed = await site.store.primary_changed(NAME, Invalidation(tag=TAG), pushed=D2)
    assert changed.lease_dropped
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert await site.lease() is None

    site.primary.tags[KEY] = Resolved(D2)
    site.clock.advance(1.1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2
