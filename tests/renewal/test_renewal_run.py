"""The task: it wakes for what becomes due, so many at once, so many a second, until cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import structlog

from extproc.oci.reference import Tag
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import Outcome, Renewal
from extproc.telemetry.seldom import Seldom
from tests.renewal.site import NAME, STALE_AFTER, TAG, Site
from tests.support.clock import Clock


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_wakes_for_what_becomes_due() -> None:
    site = Site()
    task = asyncio.create_task(site.renewal.run())
    await asyncio.sleep(0)
    site.renewal.on_lease_dropped(NAME, TAG)
    await until(lambda: site.outcomes[Outcome.RENEWED] == 1)
    # Asleep until a due time, it is woken by an earlier one.
    await site.read()
    await asyncio.sleep(0)
    site.renewal.on_lease_dropped(NAME, Tag("other"))
    await until(lambda: site.outcomes[Outcome.GONE] == 1)
    await stopped(task)


async def test_it_wakes_by_itself() -> None:
    site = Site()
    real = asyncio.get_running_loop().time
    hot = HotTags(10, idle=600)
    renewal = Renewal(
        store=site.store,
        primary=site.primary,
        max_staleness=0.1,
        hot=hot,
        rate=1000,
        blocks=site.blocked.__contains__,
        clock=real,
    )
    task = asyncio.create_task(renewal.run())
    renewal.tag_read(NAME, TAG, None)
    await until(lambda: len(site.primary.asked) >= 1)
    await stopped(task)


async def test_so_many_at_once_and_no_more() -> None:
    site = Site(limit=100)
    gate = asyncio.Event()
    site.primary.meanwhile = gate.wait
    task = asyncio.create_task(site.renewal.run())
    for number in range(20):
        site.renewal.on_lease_dropped(NAME, Tag(f"t{number}"))
    await until(lambda: len(site.primary.asked) == 4)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(site.primary.asked) == 4
    gate.set()
    await until(lambda: site.outcomes[Outcome.GONE] == 20)
    await stopped(task)


async def test_so_many_a_second_and_no_more() -> None:
    site = Site(limit=100)
    site.renewal = Renewal(
        store=site.store,
        primary=site.primary,
        max_staleness=STALE_AFTER,
        hot=site.hot,
        rate=100,
        blocks=site.blocked.__contains__,
        clock=site.clock,
    )
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def note() -> None:
        times.append(loop.time())

    site.primary.meanwhile = note
    task = asyncio.create_task(site.renewal.run())
    for number in range(10):
        site.renewal.on_lease_dropped(NAME, Tag(f"t{number}"))
    await until(lambda: len(times) == 10)
    await stopped(task)
    assert times[-1] - times[0] >= 0.08


async def test_cancelled_in_the_middle_of_a_question() -> None:
    site = Site()
    gate = asyncio.Event()
    site.primary.meanwhile = gate.wait
    task = asyncio.create_task(site.renewal.run())
    site.renewal.on_lease_dropped(NAME, TAG)
    await until(lambda: site.primary.asked)
    await stopped(task)
    assert await site.lease() is None


async def test_a_fault_of_ours_ends_one_tag_only() -> None:
    site = Site()
    site.primary.error = ZeroDivisionError("a bug")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(site.renewal.run())
        site.renewal.on_lease_dropped(NAME, TAG)
        await until(lambda: logs)
        site.primary.error = None
        site.renewal.on_lease_dropped(NAME, TAG)
        await until(lambda: site.outcomes[Outcome.RENEWED] == 1)
        await stopped(task)
    assert [line["event"] for line in logs] == ["renewal of a tag failed"]


async def test_a_fault_that_readers_cause_again_and_again_is_one_line_in_a_while() -> None:
    site = Site(limit=100)
    now = Clock()
    site.renewal = Renewal(
        store=site.store,
        primary=site.primary,
        max_staleness=STALE_AFTER,
        hot=site.hot,
        rate=1e6,
        blocks=site.blocked.__contains__,
        clock=site.clock,
        seldom=Seldom(5.0, now),
    )
    site.primary.error = ZeroDivisionError("a bug")
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(site.renewal.run())
        for at, number in ((0.0, 20), (5.0, 1)):
            now.now = at
            asked = len(site.primary.asked)
            for each in range(number):
                site.renewal.on_lease_dropped(NAME, Tag(f"t{each}"))
            await until(lambda wanted=asked + number: len(site.primary.asked) == wanted and not len(site.hot))  # type: ignore[misc]
        await stopped(task)
    assert [(line["event"], line["left_out"]) for line in logs] == [
        ("renewal of a tag failed", 0),
        ("renewal of a tag failed", 19),
    ]
