"""One report at a time."""

from __future__ import annotations

import asyncio

import pytest

from extproc.admin.turn import TooMany, Turn


async def test_who_wants_the_same_gets_the_same() -> None:
    turn, made, go = Turn(), [], asyncio.Event()

    async def make() -> int:
        made.append(1)
        await go.wait()
        return len(made)

    waiting = [asyncio.create_task(turn.of("a", make)) for _ in range(5)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert await turn.of("a", make) == 2, "what has been given is not kept"


async def test_one_at_a_time() -> None:
    turn, under_way, most = Turn(), 0, 0

    async def make() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    await asyncio.gather(*(turn.of(number, make) for number in range(20)))
    assert most == 1


async def test_too_many_are_refused_and_then_not_any_more() -> None:
    turn, go = Turn(waiting=2), asyncio.Event()

    async def make() -> None:
        await go.wait()

    waiting = [asyncio.create_task(turn.of(number, make)) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooMany, match="ask again"):
        await turn.of("another", make)
    go.set()
    await asyncio.gather(*waiting)
    await turn.of("another", make)


async def test_a_fault_is_everybodys_and_does_not_stay() -> None:
    turn = Turn()

    async def fails() -> None:
        raise ZeroDivisionError

    async def works() -> int:
        return 1

    with pytest.raises(ZeroDivisionError):
        await turn.of("a", fails)
    assert await turn.of("a", works) == 1


async def test_who_asked_first_may_go_away() -> None:
    turn, go = Turn(), asyncio.Event()

    async def make() -> int:
        await go.wait()
        return 1

    first, second = asyncio.create_task(turn.of("a", make)), asyncio.create_task(turn.of("a", make))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await second == 1
