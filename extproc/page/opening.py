"""The status page of a process, and what it watches meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from extproc.admin.server import Health
from extproc.admin.turn import Turn
from extproc.auth.grant import Rejection
from extproc.evidence.store import Store
from extproc.explain import Explanation, explain, past_the_processor
from extproc.jwks.opening import OpenKeys
from extproc.page.pages import Explain, Pages
from extproc.page.served import Envoy
from extproc.page.snapshot import Condition
from extproc.page.watch import Reports, Watch
from extproc.page.writing import Site, Writing
from extproc.routing.policy import Policy
from extproc.settings import Settings
from extproc.settings.sites import JWT_AUTH
from extproc.status.reports import Reports as StatusReports


@dataclass(frozen=True, slots=True)
class Sources:
    """Who knows what the page shows."""

    workers: Reports
    condition: Callable[[], Condition]
    status: StatusReports
    store: Store
    """For `explain`: one whose answers may take a while."""
    policy: Callable[[], Policy]
    """In force now."""


def condition_of(health: Health, workers: int, keys: OpenKeys) -> Condition:
    """`workers`: how many there are to be."""
    return Condition(
        ready=health.ready,
        store=health.store,
        workers=health.workers,
        workers_wanted=workers,
        mode=health.mode,
        configuration=health.configuration,
        keys=health.keys,
        keys_known=keys.keys.count,
        keys_needed=keys.needed,
    )


@asynccontextmanager
async def open_page(settings: Settings, sources: Sources, turn: Turn) -> AsyncIterator[Pages]:
    """Its sources are asked meanwhile. Call `close` before the server stops that serves it."""
    watch = Watch(sources.workers, Envoy(settings.envoy.admin).served, sources.status.site, sources.condition)
    writing = Writing(
        Site(
            here=settings.sites.secondary.url,
            primary=settings.sites.primary.url,
            store=settings.store.public_url,
            max_staleness=settings.policy.max_staleness,
        )
    )
    pages = Pages(watch, writing, sources.status, _explain(settings, sources), turn)
    keeping = asyncio.create_task(watch.keep())
    try:
        yield pages
    finally:
        pages.close()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def _explain(settings: Settings, sources: Sources) -> Explain:
    passthrough = settings.auth.mode == "passthrough"

    async def explained(method: str, path: str, anonymous: bool) -> Explanation:
        if settings.sites.issuer is not None and path.partition("?")[0] == JWT_AUTH:
            return past_the_processor(method)
        credential = Rejection.MISSING if anonymous and not passthrough else None
        assumed = not (anonymous or passthrough)
        return await explain(method, path, credential, sources.store, sources.policy(), assumed=assumed)

    return explained
