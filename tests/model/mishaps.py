"""What goes wrong, and time: each method is one fault of the design's §8 at one instant."""

from __future__ import annotations

from dataclasses import dataclass, field

from extproc.evidence.memory import MemoryStore
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.routing.rollout import SERVE
from tests.model.content import NAMES
from tests.model.depot import MemoryDepot
from tests.model.process import Process, Supervisor, Worker
from tests.model.scheduler import BACKGROUND, Gate
from tests.model.site import WORKERS, Site


@dataclass
class Mishaps:
    site: Site
    _replica: tuple[int, MemoryStore] | None = field(default=None, init=False)
    """How the store was at some turn: what a replica that lags has."""

    def worker_dies(self, name: str, *, another: bool) -> None:
        """At whatever it waits for. Its supervisor voids the leases and starts it again."""
        site = self.site
        site.tick()
        site.note(f"{name} is killed")
        dead = site.workers[name]
        dead.kill()
        self._disowned(dead)
        orphans = [each for each in site.gateway.under_way if each.worker is dead]
        site.workers[name] = Worker(name, site.clock, site.depot, site, site.policy)
        for orphan in orphans:
            site.gateway.orphaned(orphan, other=another)
        site.supervisor.loop.start(BACKGROUND, site.supervisor.backlog.void_leases())

    def site_restarts(self) -> None:
        """All our processes die at once, copies and notifications on their way with them."""
        site = self.site
        site.tick()
        site.note("all our processes are killed and start again")
        for process in site.processes:
            process.kill()
            self._disowned(process)
        site.gateway.copies.clear()
        site.taking.clear()
        orphans = [each for each in site.gateway.under_way if each.worker is not None]
        site.supervisor = Supervisor("supervisor", site.clock, site.depot, site, site.policy)
        site.workers = {name: Worker(name, site.clock, site.depot, site, site.policy) for name in WORKERS}
        for orphan in orphans:
            site.gateway.orphaned(orphan, other=False)
        # Nobody was there to take them.
        site.gateway.copies.clear()

    def cut_off(self, process: str) -> None:
        """It does not reach the store any more, or does again."""
        for each in self.site.processes:
            if process in {each.name, "all"}:
                each.gated.reachable = not each.gated.reachable
                word = "reaches" if each.gated.reachable else "no longer reaches"
                self.site.note(f"{each.name} {word} the store")

    def all_is_back(self) -> None:
        """Everybody reaches the store and serves, and the secondary is up."""
        for each in self.site.processes:
            if not each.gated.reachable:
                self.cut_off(each.name)
        for worker in WORKERS:
            self.site.adopt(worker, SERVE)
        if not self.site.secondary.up:
            self.secondary_is_down_or_back()

    def secondary_is_down_or_back(self) -> None:
        self.site.tick()
        self.site.secondary.up = not self.site.secondary.up
        self.site.note(f"the secondary is {'up' if self.site.secondary.up else 'down'}")

    def gate_fails(self, gate: Gate) -> None:
        """One call fails, before or after it took effect."""
        self.site.tick()
        self.site.note(f"{gate.actor}: {gate.label} fails at {gate.loop.name}")
        gate.fail(StoreUnavailable("the model lost this call or its answer"))
        gate.loop.settle()
        self.site.noticed()

    def emptied(self) -> None:
        """Restarted without persistence."""
        self.site.tick()
        self.site.note("the store is emptied")
        self.site.depot.empty()
        self.site.ledger.emptied(NAMES)

    def loses(self, name: Name) -> None:
        """A cluster's node is lost with its replica; the site's own key is on another."""
        self.site.tick()
        self.site.note(f"the store loses {name}")
        self.site.depot.lose(name)
        self.site.ledger.emptied((name,))

    def replica_is_as_now(self) -> None:
        assert isinstance(self.site.depot, MemoryDepot)
        self.site.note("a replica of the store has all up to here")
        self._replica = (self.site.tick(), self.site.depot.checkpoint())

    def fails_over(self) -> None:
        """To the replica, which lagged, if there is one. Its own replica is of later."""
        if self._replica is None:
            return
        assert isinstance(self.site.depot, MemoryDepot)
        turn, kept = self._replica
        self._replica = None
        self.site.tick()
        self.site.note(f"the store fails over, back to turn {turn}")
        self.site.depot.go_back(kept)
        self.site.ledger.went_back(turn)

    def time_passes(self, seconds: float) -> None:
        """Timers run in their order; a process's own work does not stand still meanwhile."""
        site = self.site
        until = site.clock.now + seconds
        site.note(f"{seconds:g} s pass")
        site.run_background()
        while (due := self._next_due()) <= until:
            site.clock.now = max(site.clock.now, due)
            for process in site.processes:
                process.loop.run_timers()
            self._end_writes()
            site.run_background()
        site.clock.now = until

    def _next_due(self) -> float:
        timers = [process.loop.next_timer() for process in self.site.processes]
        ends = [
            each.started_at + self.site.policy.write_timeout for each in self.site.gateway.under_way if each.change
        ]
        return min([*(timer for timer in timers if timer is not None), *ends], default=float("inf"))

    def _end_writes(self) -> None:
        """`max_stream_duration` of Envoy's routes for writes."""
        for each in list(self.site.gateway.under_way):
            if each.change is not None and each.started_at + self.site.policy.write_timeout <= self.site.clock.now:
                self.site.note(f"{each.label}: Envoy ends it")
                self.site.gateway.cancelled(each)

    def _disowned(self, dead: Process) -> None:
        """What it knew better than the others is lost with it."""
        for write in self.site.ledger.writes:
            if write.writer == dead.name:
                write.writer = ""
