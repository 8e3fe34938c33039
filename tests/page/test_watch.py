"""Who is asked, how often, and what becomes of those who do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from extproc.page.served import EnvoyUnheard, Kind
from extproc.page.watch import Watch
from tests.page.snapshots import AT, HERE, PRIMARY, condition, entry, site

HERE_BYTES = Kind("bytes", "secondary", False)


class Known:
    """Workers, Envoy and store of a test."""

    def __init__(self) -> None:
        self.workers: dict[int, dict[str, Any]] = {}
        self.envoy: Mapping[Kind, int] | str = {}
        self.asked: list[str] = []
        self.now = AT
        self.watch = Watch(self.reports, self.served, self.site, condition, lambda: self.now)

    async def reports(self) -> Mapping[int, Mapping[str, Any]]:
        self.asked.append("workers")
        return self.workers

    async def served(self) -> Mapping[Kind, int]:
        if isinstance(self.envoy, str):
            raise EnvoyUnheard(self.envoy)
        return self.envoy

    async def site(self, limit: int) -> Mapping[str, Any]:
        self.asked.append(f"site {limit}")
        return site(names=7)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[Watch]:
        keeping = asyncio.create_task(self.watch.keep())
        try:
            yield self.watch
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def worker(run: str, here: int = 0, last: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"run": run, "decisions": [[*HERE, here], [*PRIMARY, 1]], "last": last or []}


async def test_what_they_say_is_added_up() -> None:
    known = Known()
    known.workers = {0: worker("a", 3, [entry(at=2.0), entry(at=1.0)]), 1: worker("b", 4, [entry(at=3.0)])}
    known.envoy = {HERE_BYTES: 1000}
    await known.watch.ask()
    known.envoy = {HERE_BYTES: 1500}
    await known.watch.ask()
    now = known.watch.snapshot()
    assert (now.hour.decisions[HERE], now.minute.decisions[PRIMARY]) == (7, 2)
    assert now.hour.served[HERE_BYTES] == 500, "what Envoy served before we came is of no hour that we know"
    assert [each["at"] for each in now.last] == [3.0, 2.0, 1.0]
    assert (now.workers_answered, now.envoy) == (2, "")


async def test_who_does_not_answer_is_shown_as_that() -> None:
    known = Known()
    known.envoy = "refused"
    await known.watch.ask()
    now = known.watch.snapshot()
    assert (now.workers_answered, now.envoy, now.site) == (0, "refused", None)
    known.envoy = {}
    await known.watch.ask()
    assert known.watch.snapshot().envoy == ""


async def test_the_store_is_asked_only_while_somebody_looks() -> None:
    known = Known()
    async with known.keeping() as watch:
        version = await watch.changed(0)
        assert known.asked == ["workers"]
        with watch.looking():
            while watch.snapshot().site is None:
                version = await watch.changed(version)
        assert "site 10000" in known.asked
        assert (watch.snapshot().site or {})["evidence"]["names"] == 7


async def test_a_fault_of_ours_does_not_end_it() -> None:
    known = Known()
    failed = asyncio.Event()

    async def fails_once() -> Mapping[int, Mapping[str, Any]]:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError("a bug")
        return {0: worker("a", 1)}

    known.watch._reports = fails_once
    async with known.keeping() as watch:
        await failed.wait()
        version = 0
        with watch.looking():
            while watch.snapshot().workers_answered == 0:
                version = await watch.changed(version)
