"""A shared limit behaves as `asyncio.timeout` does."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from extproc.evidence.budget import Budget

LONG = 60.0


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_ends_in_time_is_left_alone() -> None:
    budget = Budget(LONG)
    with budget.spent():
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_does_not_is_a_timeout_and_the_task_goes_on() -> None:
    budget = Budget(0.01)
    with pytest.raises(TimeoutError), budget.spent():
        await for_ever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_each_of_many_has_the_whole_of_it() -> None:
    budget, ended = Budget(0.05), []

    async def spend(number: int) -> None:
        try:
            with budget.spent():
                await (for_ever() if number % 2 else asyncio.sleep(0))
        except TimeoutError:
            ended.append((number, asyncio.get_running_loop().time() - began))

    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(spend(number))
        await asyncio.sleep(0.03)
        late = asyncio.get_running_loop().time() - began
        group.create_task(spend(11))
    assert [number for number, _ in ended] == [1, 3, 5, 7, 9, 11]
    assert all(after >= 0.05 for _, after in ended)
    assert ended[-1][1] >= late + 0.05


async def test_a_timer_is_set_anew_after_a_pause() -> None:
    budget = Budget(0.01)
    for _ in range(3):
        with pytest.raises(TimeoutError), budget.spent():
            await for_ever()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("expired", [True, False])
async def test_a_cancellation_from_elsewhere_is_heard(expired: bool) -> None:
    budget = Budget(0.01 if expired else LONG)
    inside = asyncio.Event()

    async def spend() -> None:
        with budget.spent():
            inside.set()
            try:
                await for_ever()
            finally:
                if expired:
                    # Both at once: the one from elsewhere counts.
                    asyncio.current_task().cancel()  # type: ignore[union-attr]

    task = asyncio.create_task(spend())
    await inside.wait()
    if not expired:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_error_within_comes_out() -> None:
    with pytest.raises(ValueError, match="within"), Budget(LONG).spent():
        raise ValueError("within")


async def test_what_is_swallowed_within_leaves_no_trace() -> None:
    budget = Budget(0.01)
    with budget.spent(), suppress(asyncio.CancelledError):
        await for_ever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_within_another() -> None:
    inner, outer = Budget(LONG), Budget(0.01)
    with pytest.raises(TimeoutError), outer.spent(), inner.spent():
        await for_ever()


class Bounded:
    """Begins another when its deadline comes, if that is wanted."""

    def __init__(self, budget: Budget, *, another: bool = False) -> None:
        self._budget = budget
        self._another = another
        self.over = False
        self.deadline = budget.begin(self)

    def expire(self) -> None:
        self.over = True
        if self._another:
            Bounded(self._budget)


async def test_what_begins_while_another_expires_has_no_timer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be set anew for as long as anything is asked."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    call_at = loop.call_at

    def kept(when: float, *arguments: object) -> asyncio.TimerHandle:
        timers.append(call_at(when, *arguments))  # type: ignore[arg-type]
        return timers[-1]

    monkeypatch.setattr(loop, "call_at", kept)
    budget = Budget(LONG)
    first, last = Bounded(budget, another=True), Bounded(budget)
    first.deadline = 0.0
    timers.pop().cancel()
    budget._look()  # as the timer would, at the first one's deadline
    assert first.over
    assert [timer.when() for timer in timers if not timer.cancelled()] == [last.deadline]
    for timer in timers:
        timer.cancel()
