"""Reads a store and makes documents of it: never more than a few questions at once, and each within a budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final

from extproc.evidence.fault import fault
from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import finished, running
from extproc.status.name import figures_of, status_of
from extproc.status.site import SiteStatus, SiteSum

_AT_ONCE: Final = 8
"""Names read beside each other: the same store answers requests."""
_BUDGET: Final = 5.0
"""Seconds for one answer of the store."""
_SEARCH: Final = 5.0
"""Seconds that names are looked for."""


class Reports:
    """The documents of one store."""

    def __init__(
        self,
        store: Store,
        *,
        url: str,
        max_staleness: float,
        promoted: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`store` is not the guarded one: that a report waits says nothing about requests. `url` without secrets;
        `promoted`: whether this site is the primary; `now` gives seconds since the Unix epoch."""
        self._promoted = promoted
        self._store = store
        self._url = url
        self._max_staleness = max_staleness
        self._now = now

    async def name(self, name: Name) -> dict[str, Any]:
        """A NameStatus. Raises StoreUnavailable."""
        async with _budget():
            record = await self._store.inspect(name)
        # A large name's takes a second, which the loop that decides has not.
        found = await asyncio.to_thread(lambda: asdict(status_of(record, self._max_staleness)))
        return found | {"max_staleness": self._max_staleness}

    async def names(self, part: str, most: int) -> dict[str, Any]:
        """`names`: at most `most` pairs of a name with `part` in it and its Figures, in the store's order; `more`:
        whether there may be others, since there were too many or looking took too long. Raises StoreUnavailable."""
        found: list[Name] = []
        more = False
        pages = aiter(self._store.pages())
        try:
            async with asyncio.timeout(_SEARCH):
                while len(found) <= most:
                    async with _budget():
                        page = await anext(pages, None)
                    if page is None:
                        break
                    found += [name for name in page if part in name]
                    await asyncio.sleep(0)
        except TimeoutError:
            more = True
        shown = sorted(found[:most])
        async with _budget():
            records = [await self._store.inspect(name) for name in shown]
        figures = [asdict(figures_of(record, self._max_staleness)) for record in records]
        return {"names": list(zip(shown, figures, strict=True)), "more": more or len(found) > most}

    async def site(self, limit: int | None = None) -> dict[str, Any]:
        """The role, how the store answers, a SiteStatus, and what reconcile noted. The last two are None when the
        store is away.

        At most `limit` names are read.
        """
        health = {"url": self._url, "available": True, "round_trip": None, "detail": ""}
        document: dict[str, Any] = {"role": "primary" if self._promoted() else "secondary"}
        document |= {"store": health, "max_staleness": self._max_staleness, "evidence": None, "reconcile": None}
        try:
            health["round_trip"] = await self._round_trip()
            document["evidence"] = asdict(await self._evidence(limit))
            document["reconcile"] = await self._reconcile()
        except StoreUnavailable as error:
            health |= {"available": False, "round_trip": None, "detail": fault(error, self._url)}
            document |= {"store": health, "evidence": None, "reconcile": None}
        return document

    async def _round_trip(self) -> float:
        async with _budget():
            await self._store.ping()  # it may have to connect
            began = time.perf_counter()
            await self._store.ping()
        return time.perf_counter() - began

    async def _evidence(self, limit: int | None) -> SiteStatus:
        found = SiteSum(self._max_staleness)
        pages = aiter(self._store.pages())
        while True:
            async with _budget():
                page = await anext(pages, None)
            if page is None:
                return found.status(cut=False)
            left = page if limit is None else page[: limit - found.names]
            for first in range(0, len(left), _AT_ONCE):
                async with _budget():
                    records = await asyncio.gather(*map(self._store.inspect, left[first : first + _AT_ONCE]))
                for record in records:
                    found.add(record)
                # A store in memory never waits, and others want to go on.
                await asyncio.sleep(0)
            if len(left) < len(page):
                return found.status(cut=True)

    async def _reconcile(self) -> dict[str, Any]:
        async with _budget():
            last, under_way = await finished(self._store), await running(self._store)
        now = self._now()
        return {
            "finished": None if last is None else asdict(last) | {"age": max(now - last.finished, 0.0)},
            "running": None
            if under_way is None
            else {
                "source": under_way.source,
                "by": under_way.by,
                "age": max(now - under_way.started, 0.0),
                "names": under_way.done,
            },
        }


@asynccontextmanager
async def _budget() -> AsyncIterator[None]:
    """Raises StoreUnavailable when what is inside takes too long."""
    try:
        async with asyncio.timeout(_BUDGET):
            yield
    except TimeoutError as error:
        raise StoreUnavailable(f"no answer within {_BUDGET:g} s") from error
