"""Envoy and the sites behind it: moves each exchange on by one step, when told to (rules: exchange.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from extproc.oci.reference import Tag
from extproc.routing.decision import Forward, Refuse
from tests.model.content import STRANGER, called
from tests.model.exchange import Exchange, Phase
from tests.model.ledger import Via
from tests.model.scheduler import Gate
from tests.model.world import Answer

if TYPE_CHECKING:
    from tests.model.site import Site


class Gateway:
    """All exchanges under way."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.under_way: list[Exchange] = []
        self.strays: list[Exchange] = []
        """Writes that have ended here while the primary may still do them."""
        self.copies: list[Exchange] = []
        """Unseen writes whose copy has not come to us."""

    def start(self, exchange: Exchange) -> None:
        self.under_way.append(exchange)
        if exchange.worker is None:
            self._unseen(exchange)
        else:
            self._route(exchange)

    def can_step(self, exchange: Exchange) -> bool:
        return exchange.phase in {Phase.FORWARDED, Phase.ANSWERED} or bool(self.gates(exchange))

    def gates(self, exchange: Exchange) -> list[Gate]:
        worker = exchange.worker
        return [gate for gate in worker.loop.gates if gate.actor == exchange.label] if worker else []

    def step(self, exchange: Exchange) -> None:
        """The next thing that happens to it."""
        match exchange.phase:
            case Phase.ROUTING | Phase.OBSERVING:
                gate = self.gates(exchange)[0]
                gate.open()
                gate.loop.settle()
                self.noticed()
            case Phase.FORWARDED:
                self._arrive(exchange)
            case Phase.ANSWERED:
                self._come_back(exchange)

    def noticed(self) -> None:
        """Move on whatever its worker has finished with."""
        for exchange in list(self.under_way):
            if exchange.phase is Phase.ROUTING and exchange.deciding is not None and exchange.deciding.done():
                exchange.routed = exchange.deciding.result()
                self._decided(exchange)
            if exchange.phase is Phase.OBSERVING and exchange.observing is not None and exchange.observing.done():
                exchange.observing.result()
                self._deliver(exchange)

    def give_up(self, exchange: Exchange) -> None:
        """Envoy waits no longer for the processor (rules 1 and 3); it cancels the stream."""
        worker, before = exchange.worker, exchange.phase
        exchange.worker = None
        if worker is not None:
            self._site.note(f"{exchange.label}: Envoy gives up on {worker.name} while {before.name.lower()}")
            task = exchange.deciding if before is Phase.ROUTING else exchange.observing
            if task is not None and not task.done():
                task.cancel()
                worker.loop.settle()
        self._alone(exchange)

    def cancelled(self, exchange: Exchange) -> None:
        """The client goes away, or the stream may last no longer: nothing follows (rule 6)."""
        worker = exchange.worker
        if exchange.change is not None and exchange.phase is Phase.FORWARDED:
            self.strays.append(exchange)
        exchange.worker = None
        exchange.phase = Phase.DONE
        self.under_way.remove(exchange)
        for task in (exchange.deciding, exchange.observing):
            if worker is not None and task is not None and not task.done():
                task.cancel()
                worker.loop.settle()

    def orphaned(self, exchange: Exchange, other: bool) -> None:
        """Its worker is dead. `other`: Envoy tries a second worker first, if it has no decision yet (rule 1)."""
        exchange.worker = None
        if exchange.phase is Phase.ROUTING and other:
            exchange.worker = self._site.another_worker()
            if exchange.worker is not None:
                self._site.note(f"{exchange.label}: again, at {exchange.worker.name}")
                if exchange.read is not None:
                    exchange.read.worker = exchange.worker.name
                if exchange.write is not None:
                    exchange.write.writer = exchange.worker.name
                self._route(exchange)
                return
        self._alone(exchange)

    def apply(self, exchange: Exchange) -> Answer:
        """The primary does what a write asks for, or refuses."""
        change, name = exchange.change, exchange.name
        assert change is not None
        primary = self._site.primary
        held = primary.now.content[name]
        if change.refused:
            return Answer(403)
        if change.content is not None:
            tag = change.reference if isinstance(change.reference, Tag) else change.tag
            made, status = held.with_manifest(change.content, tag), 201
        else:
            there = held.tags if isinstance(change.reference, Tag) else held.digests
            if change.reference not in there:
                return Answer(404)
            made, status = held.without(change.reference), 202
        self._site.changed(exchange.write, {name: made})
        if not exchange.told:
            self._site.tell(exchange.write, name, change)
        return Answer(status)

    def tell_first(self, exchange: Exchange) -> bool:
        """Whether that was this step (rule 5)."""
        change = exchange.change
        if change is None or not change.told_first or exchange.told:
            return False
        self._site.note(f"{exchange.label}: the primary tells of it, and will do it")
        exchange.told = True
        self._site.tell(exchange.write, exchange.name, change)
        return True

    def _route(self, exchange: Exchange) -> None:
        worker = exchange.worker
        assert worker is not None
        exchange.deciding = worker.loop.start(exchange.label, worker.router.route(exchange.head))
        self.noticed()

    def _alone(self, exchange: Exchange) -> None:
        """What Envoy does with it without us."""
        match exchange.phase:
            case Phase.ROUTING:
                self._unseen(exchange)
            case Phase.OBSERVING:
                self._deliver(exchange)

    def _unseen(self, exchange: Exchange) -> None:
        exchange.worker, exchange.routed = None, None
        write = exchange.write
        if write is not None:
            write.via, write.writer = Via.UNSEEN, ""
            if write.deletes and not isinstance(exchange.reference, Tag):
                exchange.answer = Answer(503)
                self._deliver(exchange)
                return
            self.copies.append(exchange)
        self._site.note(f"{exchange.label}: goes on unseen")
        exchange.phase = Phase.FORWARDED

    def _decided(self, exchange: Exchange) -> None:
        decision = exchange.decision
        if isinstance(decision, Refuse):
            exchange.answer = Answer(decision.status)
            self._deliver(exchange)
            return
        assert isinstance(decision, Forward)
        if exchange.read is not None:
            exchange.read.pin = decision.pin
        pin = f" as {called(decision.pin)}" if decision.pin else ""
        self._site.note(f"{exchange.label}: to the {decision.route.value}{pin}, {decision.reason.value}")
        exchange.phase = Phase.FORWARDED

    def _arrive(self, exchange: Exchange) -> None:
        self._site.tick(quiet=exchange.change is None)
        if self.tell_first(exchange):
            return
        where = exchange.goes_to
        exchange.attempts += 1
        exchange.site = where
        if exchange.change is not None:
            exchange.answer = self.apply(exchange)
        elif exchange.client is STRANGER:
            exchange.answer = Answer(401)
        elif where == "secondary":
            exchange.answer = self._site.secondary.read(exchange.name, exchange.asked, exchange.client.accept)
        else:
            exchange.answer = self._site.primary.now.read(exchange.name, exchange.asked, exchange.client.accept)
        answer = exchange.answer
        told = called(answer.digest) if answer.digest else answer.status
        self._site.note(f"{exchange.label}: the {where} answers {told}")
        if where == "secondary" and answer.status != 200:
            return
        exchange.phase = Phase.ANSWERED

    def _come_back(self, exchange: Exchange) -> None:
        worker, routed = exchange.worker, exchange.routed
        if worker is None or routed is None or not routed.wants_response:
            self._deliver(exchange)
            return
        exchange.phase = Phase.OBSERVING
        exchange.observing = worker.loop.start(exchange.label, worker.router.observe(routed, exchange.response))
        self.noticed()

    def _deliver(self, exchange: Exchange) -> None:
        turn = self._site.tick(quiet=exchange.write is None)
        exchange.phase = Phase.DONE
        self.under_way.remove(exchange)
        status = exchange.answer.status
        self._site.note(f"{exchange.label}: the client has {status}")
        if exchange.write is not None and 200 <= status < 300:
            exchange.write.acked = turn
        if exchange.read is not None:
            exchange.read.ended, exchange.read.answer, exchange.read.site = turn, exchange.answer, exchange.site
            self._site.judge(exchange.read)
