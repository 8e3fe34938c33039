"""Asks those who know, now and then, and gives snapshots of what they say.

Rules
1. The workers and Envoy are asked all the time, for the hour is remembered here; more often while somebody looks.
2. The store is asked for the site's figures only while somebody looks, and rests after each answer ten times as
   long as that took: the same store answers requests.
3. Who does not answer is shown as that, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog

from extproc.page.served import EnvoyUnheard, Kind
from extproc.page.snapshot import Condition, Flow, Made, Snapshot
from extproc.page.traffic import Traffic
from extproc.telemetry.seldom import Seldom

log = structlog.get_logger()

_PAUSE: Final = 10.0
"""Seconds between two questions while nobody looks: no longer than a span of the traffic."""
_SHORT: Final = 2.0
"""While somebody does."""
_RESTS: Final = 10
"""Times as long as a report took."""
_LAST: Final = 25
"""Decisions shown."""
_ONE_LINE_IN: Final = 60.0
"""Seconds."""
_NAMES: Final = 10_000
"""Read at most for the site's figures: with a store on this machine, 2 s."""

Reports = Callable[[], Awaitable[Mapping[int, Mapping[str, Any]]]]
"""Of the workers that answered, by number: a `run`, which is another one after each start, and a journal's report."""


class Watch:
    """What the page knows. `keep()` must run."""

    def __init__(
        self,
        reports: Reports,
        served: Callable[[], Awaitable[Mapping[Kind, int]]],
        site: Callable[[int], Awaitable[Mapping[str, Any]]],
        condition: Callable[[], Condition],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`served` raises EnvoyUnheard; `site` makes the document of `/status` of at most so many names. `now`:
        seconds since the Unix epoch."""
        self._reports = reports
        self._served = served
        self._site = site
        self._condition = condition
        self._now = now
        self._since = now()
        self._decisions: Traffic[Made] = Traffic()
        self._bytes: Traffic[Kind] = Traffic()
        self._last: list[Mapping[str, Any]] = []
        self._answered = 0
        self._envoy = "not asked yet"
        self._document: Mapping[str, Any] | None = None
        self._document_at: float | None = None
        self._looking = 0
        self._seldom = Seldom(_ONE_LINE_IN)
        self._woken = asyncio.Event()
        self._changed = asyncio.Condition()
        self._version = 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Somebody looks meanwhile."""
        self._looking += 1
        self._woken.set()
        try:
            yield
        finally:
            self._looking -= 1

    async def changed(self, version: int) -> int:
        """Once there is news since `version`; the version now."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > version)
            return self._version

    async def keep(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_asking())
            tasks.create_task(self._keep_reporting())

    async def ask(self) -> None:
        """The workers and Envoy, once."""
        reports, served = await asyncio.gather(self._reports(), self._asked_envoy())
        now = self._now()
        for number, report in reports.items():
            counts = {Made(*words): count for *words, count in report["decisions"]}
            self._decisions.take(str(number), str(report["run"]), counts, now)
        if served is not None:
            # When Envoy counted before we came is not known.
            self._bytes.take("envoy", "", served, now, whole=False)
        self._answered = len(reports)
        last = [entry for report in reports.values() for entry in report["last"]]
        self._last = sorted(last, key=lambda entry: entry["at"], reverse=True)[:_LAST]
        await self._tell()

    async def report(self) -> None:
        """The store, once."""
        self._document = await self._site(_NAMES)
        self._document_at = self._now()
        await self._tell()

    def snapshot(self) -> Snapshot:
        now = self._now()
        return Snapshot(
            at=now,
            since=self._since,
            condition=self._condition(),
            minute=Flow(self._decisions.minute(now), self._bytes.minute(now)),
            hour=Flow(self._decisions.hour(now), self._bytes.hour(now)),
            minutes=list(self._decisions.minutes(now)),
            last=self._last,
            workers_answered=self._answered,
            envoy=self._envoy,
            site=self._document,
            site_at=self._document_at,
        )

    async def _asked_envoy(self) -> Mapping[Kind, int] | None:
        try:
            served = await self._served()
        except EnvoyUnheard as error:
            self._envoy = str(error)
            return None
        self._envoy = ""
        return served

    async def _keep_asking(self) -> None:
        while True:
            self._woken.clear()
            await self._safely(self.ask())
            await self._rest(_SHORT if self._looking else _PAUSE)

    async def _keep_reporting(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._looking:
                self._woken.clear()
                await self._woken.wait()
            began = loop.time()
            await self._safely(self.report())
            await asyncio.sleep(max(_RESTS * (loop.time() - began), _SHORT))

    async def _safely(self, asking: Awaitable[None]) -> None:
        """A fault of ours costs one look, and is told."""
        try:
            await asking
        except Exception as error:
            left_out = self._seldom.left_out(type(error).__name__)
            if left_out is not None:
                log.exception("the status page could not be brought up to date", left_out=left_out)

    async def _rest(self, seconds: float) -> None:
        """Shorter when somebody begins to look."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _tell(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()
