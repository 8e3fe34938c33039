"""Renewal with its leases in each kind of Redis; workers there have a connection each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from extproc.evidence.model import Invalidation
from extproc.evidence.store import Store
from extproc.renewal.renewal import Outcome
from tests.renewal.site import D2, KEY, NAME, STALE_AFTER, TAG, Resolved, Site
from tests.support.redis_kinds import KINDS, Where, redis_store, running

STALE_SOON = 0.03


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest) -> Where:
    return running(request, request.param)


@pytest.fixture
async def store(where: Where, prefix: str) -> AsyncIterator[Store]:
    store = redis_store(where, prefix=prefix)
    yield store
    await store.close()


def site_on(store: Store, stale_after: float = STALE_AFTER) -> Site:
    return Site(new_store=lambda _: store, stale_after=stale_after)


async def test_a_stale_lease_is_renewed_and_follows_the_tag(store: Store) -> None:
    site = site_on(store, stale_after=STALE_SOON)
    await site.learn()
    site.primary.tags[KEY] = Resolved(D2)
    while (lease := await site.lease()) is not None and lease.age <= STALE_SOON:  # noqa: ASYNC110 - the store's clock
        await asyncio.sleep(0)
    await site.read()
    site.clock.advance(1)
    assert await site.look_at_due() == [Outcome.RENEWED]
    lease = await site.lease()
    assert lease is not None
    assert lease.digest == D2


async def test_what_one_worker_renews_another_need_not(store: Store, where: Where, prefix: str) -> None:
    site = site_on(store)
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    beside = redis_store(where, prefix=prefix)
    other = site_on(beside)
    await other.read()
    other.clock.advance(60)
    assert await other.look_at_due() == [Outcome.CURRENT]
    await beside.close()


async def test_a_lease_that_a_notification_drops_is_renewed(store: Store) -> None:
    site = site_on(store)
    await site.learn()
    changed = await store.primary_changed(NAME, Invalidation(tag=TAG))
    assert changed.lease_dropped
    assert await site.lease() is None
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.RENEWED]
    assert await site.lease() is not None


async def test_a_write_during_the_question_wins(store: Store) -> None:
    site = site_on(store)

    async def write() -> None:
        await store.begin_write(NAME, "m", Invalidation(tag=TAG), 125)
        await store.end_write(NAME, "m", Invalidation(tag=TAG))

    site.primary.meanwhile = write
    site.renewal.on_lease_dropped(NAME, TAG)
    assert await site.look_at_due() == [Outcome.SUPERSEDED]
    assert await site.lease() is None
