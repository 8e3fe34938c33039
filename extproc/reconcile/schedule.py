"""Runs by themselves in `serve`: one for each period among all processes that share the store.

The first run begins soon after the start, for a start makes all earlier leases void. After that a run counts whoever
began it. What fails is logged and tried again; it never ends serving.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.reference import Name
from extproc.reconcile.checkpoint import Head, finished
from extproc.reconcile.claim import TTL, ClaimLost, ClaimTaken, claimed, identity
from extproc.reconcile.run import Reconciler, Silent
from extproc.reconcile.source import SourceInvalid, source_of
from extproc.reconcile.summary import Summary
from extproc.registry.connect import open_registries
from extproc.registry.error import RegistryError
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.work import Work

log = structlog.get_logger()

_JITTER: Final = 2.0
"""Seconds within which the first run begins: many processes start at once."""
_AFTER_FAILURE: Final = 60.0
_LOOK_EVERY: Final = 0.5
_FOUND: Final = ("same", "behind", "missing", "extra", "errors")
"""Of a summary, on its span."""


async def run_once(
    settings: Settings,
    store: Store,
    blocks: Callable[[Name], bool] = lambda name: False,
    work: Work | None = None,
) -> Summary:
    """`work`: for its spans. Raises ClaimTaken, ClaimLost, RegistryError, SourceInvalid, StoreUnavailable."""
    work = work or Work.untraced()
    async with claimed(store), open_registries(settings, traces=[work.http()]) as registries:
        reconcile = settings.reconcile
        source = source_of(reconcile, registries.primary, store)
        log.info("reconcile begins", names=source.key)
        reconciler = Reconciler(
            store,
            registries.primary,
            registries.secondary,
            concurrency=reconcile.concurrency,
            blobs=reconcile.blobs,
            watch=Logged(),
            blocks=blocks,
            work=work,
        )
        with work.span(names.RECONCILE_SPAN) as span:
            summary = await reconciler.run(source, by=identity("serve"))
            span.set_attributes(
                {f"geo.reconcile.{name}": getattr(summary, name) for name in ("names", "tags", *_FOUND)}
            )
            return summary


class Logged(Silent):
    """A watch for who reads the log: it says only what would be missed."""

    def displaces(self, interrupted: Head) -> None:
        log.warning(
            "an interrupted reconcile over other names gives way to this one as soon as it has some done",
            names=interrupted.source,
            done=interrupted.done,
            by=interrupted.by,
        )


class Schedule:
    """Runs until cancelled; a cancelled run saves what is done, and the next one goes on there."""

    def __init__(
        self,
        store: Store,
        run: Callable[[], Awaitable[Summary]],
        *,
        period: float,
        ready: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`period` in seconds, from start to start. The first run waits until `ready`: each worker's start makes
        leases void. `clock`: seconds since the Unix epoch."""
        self._store = store
        self._run = run
        self._period = period
        self._ready = ready
        self._clock = clock
        self._sleep = sleep

    async def keep(self) -> None:
        """Never ends by itself."""
        while not self._ready():
            await self._sleep(_LOOK_EVERY)
        counts_since = self._clock()
        await self._sleep(random.uniform(0, min(_JITTER, self._period / 10)))
        while True:
            await self._sleep(await self._turn(counts_since))

    async def _turn(self, counts_since: float) -> float:
        """A run where one is due. Seconds until the next look; runs that began before `counts_since` do not count."""
        began = self._clock()
        try:
            last = await finished(self._store)
            if last is not None and last.started >= counts_since:
                left = last.started + self._period - began
                # Another machine's clock may be far ahead: never sleep longer than a period.
                if left > 0:
                    return min(left, self._period)
            summary = await self._run()
        except ClaimTaken:
            # Its summary will tell when the next run is due; or its claim expires, if it was killed.
            return min(TTL, self._period)
        except (ClaimLost, RegistryError, SourceInvalid, StoreUnavailable) as error:
            log.warning("reconcile failed; it will go on where it ended", detail=str(error))
            return min(_AFTER_FAILURE, self._period)
        except Exception:
            log.exception("reconcile failed by a fault of ours; it will go on where it ended")
            return min(_AFTER_FAILURE, self._period)
        _tell(summary, self._period)
        return max(0.0, began + self._period - self._clock())


def _tell(summary: Summary, period: float) -> None:
    """One line: errors make it a warning."""
    tell = log.warning if summary.errors else log.info
    tell(
        "reconcile finished",
        seconds=round(summary.finished - summary.started, 1),
        names=summary.names,
        tags=summary.tags,
        same=summary.same,
        behind=summary.behind,
        missing=summary.missing,
        extra=summary.extra,
        incomplete=summary.incomplete,
        unread=summary.unread,
        busy=summary.busy,
        gone=summary.gone,
        errors=summary.errors,
        leases=summary.leases,
        present=summary.present,
        dropped=summary.dropped,
        error_examples=summary.error_examples[:3],
        longer_than_period=summary.finished - summary.started > period,
    )


async def keep_reconciling(
    settings: Settings,
    store: Store,
    ready: Callable[[], bool],
    blocks: Callable[[Name], bool],
    work: Work | None = None,
) -> None:
    """Until cancelled; without a period there is nothing to do. `blocks`: see Comparison; `work`: for spans."""
    if settings.reconcile.period > 0:
        await Schedule(
            store, lambda: run_once(settings, store, blocks, work), period=settings.reconcile.period, ready=ready
        ).keep()
