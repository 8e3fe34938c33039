"""The processes of ours, put together as `extproc.app` does, on the model's loops."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from extproc.admin.unseen import UnseenWrites
from extproc.auth.grant import Grant, Rejection
from extproc.evidence.backlog import LAST_PAUSE, Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.store import StoreUnavailable
from extproc.notification.envelope import parse_envelope
from extproc.notification.event import Action
from extproc.notification.event import Site as EventSite
from extproc.notification.ingest import Ingest, Outcome
from extproc.oci.reference import Name, Tag
from extproc.reconcile.comparison import Comparison
from extproc.reconcile.site import Site as Registry
from extproc.registry.error import RegistryError
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import Primary, Renewal
from extproc.routing.policy import Policy
from extproc.routing.router import MARK_MARGIN, Facts, Router
from tests.model.content import CLIENTS
from tests.model.depot import Depot, GatedStore, Journal
from tests.model.scheduler import BACKGROUND, Loop
from tests.support.clock import Clock

BUDGET: Final = 0.05
"""Seconds, as `store.budget` is by default; so are the breaker's figures."""
_INGEST_BUDGET: Final = 1.0
_BACKGROUND_BUDGET: Final = 10.0


class Names:
    """A verifier: the token is the client's name."""

    def verify(self, authorization: Sequence[str], now: float) -> Grant | Rejection:
        client = CLIENTS.get(authorization[0].removeprefix("Bearer "))
        return Rejection.INVALID if client is None else client.grant


class Process:
    """What worker and supervisor have in common: the guarded store, and what it did not take."""

    def __init__(self, name: str, clock: Clock, depot: Depot, journal: Journal) -> None:
        self.name = name
        self.loop = Loop(name, clock)
        self.gated = GatedStore(depot, self.loop, journal)
        self.store = GuardedStore(
            self.gated,
            budget=BUDGET,
            breaker=Breaker(failures=10, pause=0.5),
            quarantine=LAST_PAUSE + 2 * BUDGET,
            clock=clock,
        )
        always = GuardedStore(self.gated, budget=BUDGET, breaker=Breaker(failures=sys.maxsize, pause=0), clock=clock)
        self.backlog = Backlog(always, start_voided=True)
        self._retrying = self.loop.start(BACKGROUND, self.backlog.run())

    def kill(self) -> None:
        self.loop.kill()
        self.gated.kill()

    def check(self) -> None:
        """No fault of ours went unnoticed."""
        if self.loop.faults or (self._retrying.done() and self.loop.alive):
            raise AssertionError(f"{self.name}: {self.loop.faults or self._retrying}")


class Worker(Process):
    """One ext_proc endpoint."""

    def __init__(self, name: str, clock: Clock, depot: Depot, journal: Journal, policy: Policy) -> None:
        super().__init__(name, clock, depot, journal)
        self._policy = policy
        self._clock = clock
        self.router = self._router(self.store)

    def router_on(self, facts: Facts) -> Router:
        """A second router of this worker, for looking only. It serves whatever the rollout is, so that evidence which
        would be wrong once `serve` is adopted is found at once."""
        return self._router(facts)

    async def renew(self, primary: Primary, name: Name, tag: Tag) -> None:
        """One look of the service account."""
        renewal = Renewal(
            store=self.store,
            primary=primary,
            max_staleness=self._policy.max_staleness,
            hot=HotTags(limit=10, idle=600.0),
            rate=20.0,
            blocks=self.backlog.blocks,
            clock=self._clock,
        )
        await renewal.look(name, tag)

    def _router(self, facts: Facts) -> Router:
        return Router(verifier=Names(), facts=facts, writes=self.backlog, policy=self._policy, now=self._clock)


class Supervisor(Process):
    """Holds the admin server: takes the copies of unseen writes, and the registries' notifications."""

    def __init__(self, name: str, clock: Clock, depot: Depot, journal: Journal, policy: Policy) -> None:
        super().__init__(name, clock, depot, journal)
        self.unseen = UnseenWrites(self.backlog, policy.write_timeout + MARK_MARGIN)
        patient = GuardedStore(
            self.gated, budget=_INGEST_BUDGET, breaker=Breaker(failures=sys.maxsize, pause=0), clock=clock
        )
        self._ingest = Ingest(patient, Silent(), now=clock)
        self._unhurried = GuardedStore(
            self.gated, budget=_BACKGROUND_BUDGET, breaker=Breaker(failures=sys.maxsize, pause=0), clock=clock
        )

    async def notified(self, site: EventSite, envelope: bytes) -> bool:
        """Whether it is acknowledged, as the admin server does it."""
        try:
            await self._ingest.take(site, parse_envelope(envelope))
        except StoreUnavailable:
            return False
        return True

    async def reconcile(self, name: Name, primary: Registry, secondary: Registry, *, blobs: bool) -> None:
        """One name of a run."""
        comparison = Comparison(name, self._unhurried, primary, secondary, blobs=blobs, blocks=self.backlog.blocks)
        with suppress(StoreUnavailable, RegistryError):
            await comparison.run()


class Silent:
    """Records nothing."""

    def counted(self, site: EventSite, action: Action, outcome: Outcome) -> None:
        pass

    def delayed(self, site: EventSite, seconds: float) -> None:
        pass

    def arrived(self, seconds: float) -> None:
        pass
