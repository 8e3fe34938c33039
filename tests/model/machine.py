"""The state machine: which step comes next is hypothesis's choice, and every promise is looked at after each.

An exchange is started and then moved on, a step or more at a time, by `move`; between any two of its steps other
rules run. `until` says how far: names of phases, for most faults need an exchange held at just one of them. A race
does nothing that other rules could not do, but does it often: a read and a write of the same thing meet in it.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from extproc.oci.reference import Name, Tag
from extproc.routing.rollout import SERVE
from tests.model.choices import (
    Race,
    changes,
    edges,
    if_any,
    indexes,
    names,
    pick,
    races,
    readers,
    references,
    tags,
    untils,
    workers,
)
from tests.model.content import APP, NAMES, ONE, ONE_AS_BLOB, PUSHER, READER, TWO, V1, Client
from tests.model.exchange import Change, Exchange, Phase
from tests.model.mishaps import Mishaps
from tests.model.probe import probe
from tests.model.scheduler import Gate
from tests.model.site import WORKERS, Site
from tests.model.world import Held, Reference
from tests.support.clock import Clock


class Requests(RuleBasedStateMachine):
    """Requests through the site and elsewhere, replication and notifications: what is always going on."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.site = self.new_site()
        self.mishaps = Mishaps(self.site)
        self.looked_at: object = None

    def new_site(self) -> Site:
        raise NotImplementedError

    @initialize(warm=st.sampled_from(["leased", "replicated", "empty", "half deleted"]))
    def begin(self, warm: str) -> None:
        """Mostly with content in place, for little can break where nothing is."""
        if warm != "empty":
            self.site.elsewhere(APP, Change("PUT", V1, ONE.digest))
            self.site.replicate_all()
        if warm in {"leased", "half deleted"}:
            self.run(self.site.read(READER, APP, V1, WORKERS[0]), Phase.DONE)
            self.run(self.site.read(READER, APP, V1, WORKERS[0]), Phase.DONE)

        if warm == "half deleted":
            self.site.pushed_as_blob(APP, ONE_AS_BLOB)
            self.run(self.site.write(PUSHER, APP, Change("DELETE", ONE.digest), WORKERS[0]), Phase.DONE)

    # Requests through the site

    @rule(client=readers, name=names, reference=references, edge=edges, until=untils)
    def read(self, client: Client, name: Name, reference: Reference, edge: str, until: Phase | None) -> None:
        self.run(self.site.read(client, name, reference, edge), until)

    @rule(name=names, change=changes, edge=edges, until=untils)
    def write(self, name: Name, change: Change, edge: str, until: Phase | None) -> None:
        self.run(self.site.write(PUSHER, name, change, edge), until)

    # Four rules that are one: so it is chosen four times as often, and hardly ever none is.

    @rule(race=races)
    def race_1(self, race: Race) -> None:
        self.race(race)

    @rule(race=races)
    def race_2(self, race: Race) -> None:
        self.race(race)

    @rule(race=races)
    def race_3(self, race: Race) -> None:
        self.race(race)

    @rule(race=races)
    def race_4(self, race: Race) -> None:
        self.race(race)

    def race(self, race: Race) -> None:
        change = race.change
        if race.unknown:
            self.mishaps.loses(race.name)
        if race.edge and race.rollout is not SERVE:
            self.site.adopt(race.edge, race.rollout)
        asked = (change.tag or change.reference, V1, change.content or V1)[race.asks]
        reading = self.site.read(READER, race.name, asked, WORKERS[0])
        writing = self.site.write(PUSHER, race.name, change, race.edge)
        for number, write_moves in enumerate(race.turns):
            for at, mishap in race.mishaps:
                if at == number:
                    self.befall(mishap, writing)
            moves = writing if write_moves else reading
            if moves in self.movable:
                self.run(moves, None)
            self.every_promise_holds()
        if race.then:
            self.mishaps.time_passes(race.then)
        if race.edge and race.rollout is not SERVE:
            self.site.adopt(race.edge, SERVE)

    def befall(self, mishap: str, writing: Exchange) -> None:
        gateway = self.site.gateway
        at_work = writing in gateway.under_way
        match mishap:
            case "Envoy gives up on the write" if writing in self.with_processor:
                gateway.give_up(writing)
            case "the writer dies" if at_work and writing.worker is not None:
                self.mishaps.worker_dies(writing.worker.name, another=False)
                self.site.run_background()
            case "the client of the write goes away" if at_work:
                gateway.cancelled(writing)
            case "a call of the write fails" if at_work and (gates := gateway.gates(writing)):
                self.mishaps.gate_fails(gates[0])
            case "the copy of the write comes" if writing in gateway.copies:
                self.copy(writing)
            case "the write is told" if notices := [n for n in self.site.notices if n.write is writing.write]:
                self.site.deliver(notices[0])
                self.go_on(notices[0].label)
            case "another write elsewhere":
                self.site.elsewhere(writing.name, Change("PUT", V1, TWO.digest))
            case "another write elsewhere, a minute before the rest":
                self.site.elsewhere(writing.name, Change("PUT", V1, TWO.digest))
                self.mishaps.time_passes(59.0)
            case "the store loses the name":
                self.mishaps.loses(writing.name)
            case "moments pass":
                self.mishaps.time_passes(3.0)
            case "a minute passes":
                self.mishaps.time_passes(59.0)

    @if_any(lambda machine: machine.movable)
    @rule(index=indexes, until=untils)
    def move(self, index: int, until: Phase | None) -> None:
        self.run(pick(self.movable, index), until)

    def calm(self) -> None:
        """Whatever was cut off is back, and all that was begun ends."""
        self.mishaps.all_is_back()
        for exchange in list(self.site.gateway.under_way):
            self.run(exchange, Phase.DONE)
        self.mishaps.time_passes(0.3)

    @property
    def movable(self) -> list[Exchange]:
        gateway = self.site.gateway
        return [exchange for exchange in gateway.under_way if gateway.can_step(exchange)]

    @property
    def with_processor(self) -> list[Exchange]:
        at_work = {Phase.ROUTING, Phase.OBSERVING}
        return [each for each in self.site.gateway.under_way if each.phase in at_work]

    def run(self, exchange: Exchange, until: Phase | None) -> None:
        gateway = self.site.gateway
        while exchange.phase is not Phase.DONE and gateway.can_step(exchange):
            gateway.step(exchange)
            if until is None or exchange.phase.value >= until.value:
                return

    # What our processes do beside exchanges: copies, notifications, retries

    @if_any(lambda machine: machine.site.gateway.copies)
    @rule(index=indexes, whole=st.booleans())
    def copy_comes(self, index: int, whole: bool) -> None:
        self.copy(pick(self.site.gateway.copies, index), whole=whole)

    @if_any(lambda machine: machine.site.notices)
    @rule(index=st.integers(0, 12), whole=st.sampled_from([True, True, False]))
    def notification_comes(self, index: int, whole: bool) -> None:
        notice = pick(self.site.notices[::-1], index)
        self.site.deliver(notice)
        if whole:
            self.go_on(notice.label)

    @rule(name=names, bulk=st.booleans(), blobs=st.booleans(), whole=st.booleans())
    def reconcile(self, name: Name, bulk: bool, blobs: bool, whole: bool) -> None:
        actor = self.site.reconcile(name, bulk=bulk, blobs=blobs)
        if whole:
            self.go_on(actor)

    @rule(worker=workers, name=names, tag=tags, whole=st.booleans())
    def renew(self, worker: str, name: Name, tag: Tag, whole: bool) -> None:
        actor = self.site.renew(worker, name, tag)
        if whole:
            self.go_on(actor)

    @if_any(lambda machine: machine.waiting)
    @rule(index=indexes, whole=st.booleans())
    def our_own_work_goes_on(self, index: int, whole: bool) -> None:
        gate = pick(self.waiting, index)
        if whole:
            self.go_on(gate.actor)
        else:
            self.open(gate)

    @property
    def waiting(self) -> list[Gate]:
        known = {exchange.label for exchange in self.site.gateway.under_way}
        return [gate for each in self.site.processes for gate in each.loop.gates if gate.actor not in known]

    def copy(self, exchange: Exchange, *, whole: bool = True) -> None:
        self.site.copy_comes(exchange)
        if whole:
            self.go_on(f"copy of {exchange.label}")

    def open(self, gate: Gate) -> None:
        gate.open()
        gate.loop.settle()
        self.site.noticed()

    def go_on(self, actor: str) -> None:
        while gates := [gate for gate in self.waiting if gate.actor == actor]:
            self.open(gates[0])

    # The primary's other clients, and replication

    @rule(name=names, change=changes)
    def write_elsewhere(self, name: Name, change: Change) -> None:
        self.site.elsewhere(name, change)

    @rule(index=st.integers(0, 15))
    def replicate(self, index: int) -> None:
        """All that is there now, or one job, however late."""
        if index < 5 or not self.replicable:
            self.site.replicate_all()
        else:
            self.site.replicate(*pick(self.replicable, index))

    @property
    def replicable(self) -> list[tuple[Name, Held, Tag | None]]:
        primary = self.site.primary
        jobs: list[tuple[Name, Held, Tag | None]] = []
        for name in NAMES:
            jobs += [(name, digest, tag) for tag, digest in primary.ever_tagged(name)]
            jobs += [(name, digest, None) for digest in primary.ever(name)]
        return jobs

    @rule(name=names, reference=references)
    def secondary_loses(self, name: Name, reference: Reference) -> None:
        self.site.secondary_loses(name, reference)

    @rule(name=names)
    def pushed_as_blob(self, name: Name) -> None:
        self.site.pushed_as_blob(name, ONE_AS_BLOB)

    # After every step

    @invariant()
    def every_promise_holds(self) -> None:
        if self.looked_at != (now := self.site.as_it_is):
            probe(self.site)
            self.looked_at = now
        for process in self.site.processes:
            process.check()
