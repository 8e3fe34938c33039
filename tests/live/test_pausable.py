"""Background work that rests."""

from __future__ import annotations

import asyncio

from extproc.live.pausable import Pausable


class Work:
    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.ended: list[int] = []
        self.count = 0

    async def run(self) -> None:
        self.count += 1
        number = self.count
        self.begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append(number)


async def test_it_begins_anew_after_each_pause() -> None:
    work = Work()
    subject = Pausable(work.run)
    await work.begun.acquire()
    for paused in (True, True, False, False):
        subject.pause(paused)
    await work.begun.acquire()
    await subject.close()
    await subject.close()
    assert work.ended == [1, 2]


async def test_paused_from_the_start() -> None:
    work = Work()
    subject = Pausable(work.run, paused=True)
    await asyncio.sleep(0)
    assert work.count == 0
    subject.pause(False)
    await work.begun.acquire()
    await subject.close()
    assert work.ended == [1]
