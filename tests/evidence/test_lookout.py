from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from extproc.evidence.lookout import BOUND, Lookout, Settling, heard
from extproc.evidence.store import StoreRefused, StoreUnavailable


class Looks:
    """What a look finds, when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.outcomes: asyncio.Queue[str | Exception] = asyncio.Queue()

    async def look(self) -> str:
        self.begun += 1
        outcome = await self.outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def until(lookout: Lookout[str], text: str, condition: Callable[[], bool] = lambda: True) -> None:
    async with asyncio.timeout(10):
        while await lookout.found() != text or not condition():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)


async def test_many_that_wait_share_one_look() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=1000.0)
    waiting = [asyncio.create_task(lookout.found()) for _ in range(10)]
    await looks.outcomes.put("there")
    assert await asyncio.gather(*waiting) == ["there"] * 10
    assert looks.begun == 1
    await lookout.close()


async def test_who_gives_up_does_not_end_the_look() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=1000.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await lookout.found()
    await looks.outcomes.put("there")
    assert await lookout.found() == "there"
    assert looks.begun == 1
    await lookout.close()


async def test_what_was_found_is_used_while_it_looks_again() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=1000.0)
    await looks.outcomes.put("there")
    assert await lookout.found() == "there"
    for _ in range(10):
        lookout.again()
        assert await lookout.found() == "there"
    await looks.outcomes.put("elsewhere")
    await until(lookout, "elsewhere")
    assert looks.begun == 2
    await lookout.close()


async def test_a_look_that_fails_leaves_what_was_found() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=1000.0)
    await looks.outcomes.put("there")
    await lookout.found()
    lookout.again()
    await looks.outcomes.put(StoreUnavailable("nobody knows"))
    await until(lookout, "there", looks.outcomes.empty)
    await lookout.close()


async def test_the_reason_of_the_last_look_is_told_until_one_succeeds() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=1000.0)
    await looks.outcomes.put(StoreRefused("wrong password"))
    for _ in range(3):
        with pytest.raises(StoreRefused, match="wrong password"):
            await lookout.found()
    await looks.outcomes.put("there")
    async with asyncio.timeout(10):
        while True:
            try:
                assert await lookout.found() == "there"
                break
            except StoreRefused:
                continue
    await lookout.close()


async def test_it_looks_now_and_then_while_it_is_used() -> None:
    looks = Looks()
    lookout = Lookout(looks.look, every=0.01)
    await looks.outcomes.put("there")
    await looks.outcomes.put("elsewhere")
    await lookout.found()
    await until(lookout, "elsewhere")
    await lookout.close()


async def test_closed_while_it_looks() -> None:
    lookout = Lookout(Looks().look, every=1000.0)
    waiting = asyncio.create_task(lookout.found())
    await asyncio.sleep(0)
    await lookout.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await waiting
    with pytest.raises(StoreUnavailable, match="closed"):
        await lookout.found()


async def _say(text: str, after: asyncio.Event | None = None) -> str:
    if after is not None:
        await after.wait()
    return text


async def _refuse(text: str) -> str:
    raise StoreUnavailable(text)


async def test_heard_does_not_wait_for_the_silent() -> None:
    begun = time.monotonic()
    assert await heard([_say("a"), _say("b", asyncio.Event()), _refuse("c"), _say("d")]) == ["a", "d"]
    assert BOUND <= time.monotonic() - begun < BOUND + 5


async def test_heard_waits_for_the_slow_while_nobody_else_knows() -> None:
    slow = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * BOUND, slow.set)
    assert await heard([_refuse("c"), _say("late", slow)]) == ["late"]


async def test_heard_nothing() -> None:
    with pytest.raises(StoreUnavailable, match="first"):
        await heard([_refuse("first"), _refuse("second")])


def test_settling_lasts_as_long_as_it_should() -> None:
    now = 100.0
    settling = Settling("redis://h", 0.5, clock=lambda: now)
    settling.raise_if_unsettled()
    settling.begin()
    for now in (100.0, 100.4):  # noqa: B007 - the clock reads it
        with pytest.raises(StoreUnavailable, match="redis://h: a master has changed"):
            settling.raise_if_unsettled()
    settling.begin()
    now = 100.8
    with pytest.raises(StoreUnavailable):
        settling.raise_if_unsettled()
    now = 100.9
    settling.raise_if_unsettled()
