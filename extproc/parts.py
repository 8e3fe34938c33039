"""What every process of ours is made of, worker or supervisor: opened in order, closed in reverse."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Final

import structlog

from extproc.admin.access import Readers
from extproc.admin.metrics import PATH as METRICS
from extproc.admin.metrics import MetricsPage
from extproc.admin.notifications import NotificationEndpoint
from extproc.admin.server import Health, Page
from extproc.admin.status import BELOW, PATH, StatusPage
from extproc.admin.turn import Turn
from extproc.admin.unseen import UnseenWrites
from extproc.auth.keys import KeyDocument, KeySet
from extproc.build import build_policy, build_readers_secret, build_secret, build_store, quarantine, unhurried
from extproc.evidence.backlog import Backlog
from extproc.evidence.breaker import Breaker, State
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.store import StoreUnavailable
from extproc.jwks.opening import OpenKeys, open_keys
from extproc.live.reload import Reload
from extproc.notification.ingest import Ingest
from extproc.oci.reference import Name, Tag
from extproc.page.opening import Sources, condition_of, open_page
from extproc.page.watch import Reports as WorkerReports
from extproc.renewal.opening import open_renewal
from extproc.renewal.renewal import Renewal
from extproc.routing.router import MARK_MARGIN
from extproc.settings import Settings, Sites
from extproc.status.reports import Reports
from extproc.telemetry import names
from extproc.telemetry.counter import counter
from extproc.telemetry.gauge import gauge
from extproc.telemetry.leases import LeaseTally
from extproc.telemetry.notification import NotificationRecorder
from extproc.telemetry.prometheus import CONTENT_TYPE
from extproc.telemetry.setup import Telemetry, build_telemetry, configure_log
from extproc.telemetry.store_spans import StoreSpans
from extproc.telemetry.work import Work

log = structlog.get_logger()

_INGEST_BUDGET: Final = 1.0
"""Seconds for a store call of a notification: its registry waits about as long, and sends it again."""
_FIRST_LOOKS: Final = 0.1
"""Seconds between the first looks at the store, so that a start without it says so soon."""
_LAST_TRIES: Final = 2.0
"""Seconds in which the store may still take what it did not, when we stop; less than the supervisor waits for us."""


@dataclass(frozen=True, slots=True)
class ReadPages:
    """Of the admin server, by their paths."""

    pages: dict[str, Page]
    close: Callable[[], None]
    """Before the server stops: what is still being sent ends."""


@dataclass(slots=True)
class Parts:
    """What a process of ours has, worker or supervisor: telemetry, the guarded store, and what it did not take."""

    settings: Settings
    telemetry: Telemetry
    store: GuardedStore
    ingest_store: GuardedStore
    """For what no request waits for: more patience, and no breaker."""
    background: GuardedStore
    """For reconcile, which waits longer still."""
    backlog: Backlog
    store_ok: bool = True
    promoted: bool = False
    """This site is the primary."""

    @property
    def work(self) -> Work:
        """For spans of what no exchange waits for."""
        return Work(self.telemetry.tracer, self.telemetry.sampling)

    def adopt_role(self, sites: Sites) -> None:
        """As a secondary again, trust no lease from before.

        Not yet when this site becomes the primary: a worker that has not heard of it may still serve by them, where
        the other site is dead. `Role` tells when.
        """
        voids = self.promoted and not sites.promoted
        self.promoted = sites.promoted
        if voids:
            self.backlog.void_leases_soon()

    def unseen_writes(self) -> UnseenWrites:
        copies = counter(self.telemetry.meter, names.UNSEEN_WRITES, unit="{write}")
        return UnseenWrites(
            self.backlog, self.settings.policy.write_timeout + MARK_MARGIN, count=lambda: copies.add(1)
        )

    def renewing(self) -> AbstractAsyncContextManager[Renewal | None]:
        """Leases are renewed meanwhile, if the settings give a service account for it."""
        looks = self.telemetry.meter.create_counter(names.RENEWALS, unit="{look}")
        return open_renewal(
            self.settings,
            store=self.store,
            # The primary of its questions is no primary while this site is.
            blocks=lambda name: self.promoted or self.backlog.blocks(name),
            count=lambda outcome: looks.add(1, {names.OUTCOME: outcome.value}),
            work=self.work,
        )

    def notification_pages(self, on_lease_dropped: Callable[[Name, Tag], None] | None = None) -> dict[str, Page]:
        """For the admin server. Raises SettingsError when the secret cannot be read."""
        recorder = NotificationRecorder(self.telemetry.meter)
        endpoint = NotificationEndpoint(
            Ingest(self.ingest_store, recorder, on_lease_dropped=on_lease_dropped),
            secret=build_secret(self.settings),
            max_body=self.settings.notifications.max_body,
            refusals=recorder,
            work=self.work,
        )
        return {"/notifications/primary": endpoint.primary, "/notifications/secondary": endpoint.secondary}

    @asynccontextmanager
    async def reading(
        self,
        reports: WorkerReports,
        metrics: Callable[[], Awaitable[bytes]],
        health: Callable[[], Health],
        keys: OpenKeys,
        settings: Callable[[], Settings],
    ) -> AsyncIterator[ReadPages]:
        """For the admin server: what people and scrapers read. `settings`: those in force. Raises SettingsError when
        the readers' secret cannot be read."""
        of = self.settings
        readers = Readers(of.admin.address, build_readers_secret(of))
        turn = Turn()
        status = Reports(
            self.background,
            url=of.store.public_url,
            max_staleness=of.policy.max_staleness,
            promoted=lambda: self.promoted,
        )
        sources = Sources(
            reports,
            lambda: condition_of(health(), of.server.workers, keys),
            status,
            self.background,
            lambda: build_policy(settings()),
        )
        page = StatusPage(status, turn)
        async with open_page(of, sources, turn) as pages:
            scraped = MetricsPage(metrics, CONTENT_TYPE)
            read: dict[str, Page] = {PATH: page, BELOW: page, METRICS: scraped, **pages.all()}
            yield ReadPages({path: readers.only(each) for path, each in read.items()}, pages.close)

    def opening_keys(
        self,
        use: Callable[[KeySet], None],
        documents: Sequence[KeyDocument] | None = None,
        on_unknown_kid: Callable[[], None] = lambda: None,
    ) -> AbstractAsyncContextManager[OpenKeys]:
        """The issuer's keys, kept up to date meanwhile; `use` gets each new set. `documents` and `on_unknown_kid`:
        see `open_keys`. Raises auth.keys.KeysInvalid and SettingsError."""
        meter = self.telemetry.meter
        fetches = counter(
            meter, names.KEY_FETCHES, unit="{fetch}", series=[{names.OUTCOME: "good"}, {names.OUTCOME: "failed"}]
        )
        known = meter.create_gauge(names.KEYS, unit="{name}")
        needed = self.settings.auth.mode != "passthrough"
        if needed:
            known.set(0)  # until there are some: who never gets any must be seen, too

        def tell(keys: KeySet) -> None:
            use(keys)
            if needed:
                known.set(len(keys.keys))

        return open_keys(
            self.settings,
            tell,
            on_fetch=lambda good: fetches.add(1, {names.OUTCOME: "good" if good else "failed"}),
            documents=documents,
            on_unknown_kid=on_unknown_kid,
            work=self.work,
        )

    def reloading(self, config: Path, adopt: Callable[[Settings], None]) -> Reload:
        """Of the configuration file; what is adopted is logged as it says, too."""
        meter = self.telemetry.meter
        reloads = counter(
            meter, names.RELOADS, unit="{reload}", series=[{names.OUTCOME: "adopted"}, {names.OUTCOME: "broken"}]
        )
        valid = meter.create_gauge(names.CONFIGURATION_VALID)
        valid.set(1)

        def on_reload(good: bool) -> None:
            reloads.add(1, {names.OUTCOME: "adopted" if good else "broken"})
            valid.set(int(good))

        return Reload(config, self.settings, adopt, on_reload=on_reload)

    def store_word(self) -> str:
        """For `/readyz`."""
        return "ok" if self.store_ok else "degraded"

    async def watch_store(self) -> None:
        """Look at the store until cancelled, for a process that may ask it nothing else."""
        settings = self.settings.store
        for pause in chain(repeat(_FIRST_LOOKS, settings.breaker_failures), repeat(settings.breaker_pause)):
            with suppress(StoreUnavailable):
                await self.store.ping()
            await asyncio.sleep(pause)


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Build, and close in reverse. Every lease from before this moment is void, as soon as the store takes it."""
    configure_log(settings.telemetry.log_level, settings.telemetry.log_format)
    telemetry = build_telemetry(settings.telemetry)
    changes = counter(
        telemetry.meter,
        names.STORE_CHANGES,
        unit="{change}",
        series=[{names.STORE_AVAILABLE: True}, {names.STORE_AVAILABLE: False}],
    )
    store = build_store(settings)
    shown = settings.store.public_url
    parts: Parts

    def on_change(available: bool, detail: str) -> None:
        parts.store_ok = available
        changes.add(1, {names.STORE_AVAILABLE: available})
        if available:
            log.info("store available again: reads are decided on evidence", store=shown)
        else:
            log.error(
                "store unavailable: reads go to the primary; start it or correct the store table",
                store=shown,
                detail=detail,
            )

    budget = settings.store.budget
    leases = LeaseTally(telemetry.meter)
    watch = StoreSpans(telemetry.tracer, "memory" if settings.store.url.startswith("memory") else "redis")
    breaker = Breaker(failures=settings.store.breaker_failures, pause=settings.store.breaker_pause)
    guarded = GuardedStore(
        store,
        budget=budget,
        breaker=breaker,
        quarantine=quarantine(settings.store),
        on_change=on_change,
        watch=watch,
        leases=leases.of("exchange"),
    )
    # Invalidations never wait for a breaker: while it is open here, another worker may reach the store and
    # serve what this write makes untrue.
    always = GuardedStore(
        store,
        budget=budget,
        breaker=Breaker(failures=sys.maxsize, pause=0),
        watch=watch,
        leases=leases.of("exchange"),
    )
    patient = GuardedStore(
        store,
        budget=_INGEST_BUDGET,
        breaker=Breaker(failures=sys.maxsize, pause=0),
        watch=watch,
        leases=leases.of("notification"),
    )
    backlog = Backlog(always, start_voided=True)
    parts = Parts(
        settings,
        telemetry,
        guarded,
        patient,
        unhurried(store, leases.of("reconcile")),
        backlog,
        promoted=settings.sites.promoted,
    )
    gauge(telemetry.meter, names.STORE_USED, lambda: {(): int(parts.store_ok)})
    gauge(
        telemetry.meter,
        names.BREAKER,
        lambda: {((names.STATE, state.value),): int(breaker.state is state) for state in State},
    )
    retrying = asyncio.create_task(parts.backlog.run())
    try:
        yield parts
        await _last_tries(parts)  # not after a failed start, which has nothing to lose
    finally:
        retrying.cancel()
        with suppress(asyncio.CancelledError):
            await retrying
        await store.close()
        telemetry.close()


async def _last_tries(parts: Parts) -> None:
    """What the store has not taken when we stop in order is lost with us."""
    lost = await parts.backlog.flush(_LAST_TRIES)
    if lost:
        log.error(
            "stopped with invalidations that the store never took: other processes on it may serve the tags "
            "concerned as they were for up to policy.max_staleness; start this one again once the store is back, "
            "which voids all leases",
            count=lost,
            store=parts.settings.store.public_url,
        )
