"""The whole model at one instant: both registries, the store, our processes, what is under way and what is told.

Everything that can happen is a method here or in `mishaps.py`; the machine chooses among them. `story` has what did
happen, a line each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from extproc.notification.event import Site as EventSite
from extproc.oci.reference import Name, Tag
from extproc.routing.policy import Policy
from extproc.routing.rollout import Rollout
from tests.model.asking import Asked
from tests.model.content import NAMES, PUSHER, AsBlob, Client, called, digest_of, media_type_of
from tests.model.depot import Call, Depot, Operation
from tests.model.exchange import Change, Exchange
from tests.model.gateway import Gateway
from tests.model.ledger import Ledger, Via, Write
from tests.model.process import Process, Supervisor, Worker
from tests.model.promises import PromiseBroken, Promises, Read
from tests.model.scheduler import BACKGROUND, Loop
from tests.model.world import EMPTY, Content, Held, Primary, Reference, Secondary
from tests.support.clock import Clock

POLICY: Final = Policy(max_staleness=60.0, present_recheck=60.0, write_timeout=20.0, serve_stale=True)
ABSENT_TTL: Final = 2.0
NAME_TTL: Final = 1000.0
WORKERS: Final = ("worker 1", "worker 2")
_TOLD: Final = 80
"""Lines of the story that a failure shows."""


@dataclass(eq=False)
class Notice:
    """A notification on its way: to be delivered never, once or often."""

    label: str
    site: EventSite
    envelope: bytes
    write: Write | None = None
    taking: asyncio.Task[bool] | None = None


@dataclass
class Site:
    clock: Clock
    depot: Depot
    policy: Policy = POLICY
    primary: Primary = field(default_factory=Primary)
    secondary: Secondary = field(default_factory=Secondary)
    ledger: Ledger = field(default_factory=Ledger)
    story: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    taking: list[Notice] = field(default_factory=list)
    """Those that the supervisor is at."""
    late: list[tuple[Call, Operation]] = field(default_factory=list)
    errands: list[asyncio.Task[None]] = field(default_factory=list)
    """Reconcile and renewals."""

    def __post_init__(self) -> None:
        self._labels = count(1)
        self._stirred = 0
        self._promises = Promises(self.primary, self.ledger, self.policy.max_staleness)
        self.gateway = Gateway(self)
        self.supervisor = Supervisor("supervisor", self.clock, self.depot, self, self.policy)
        self.workers = {name: Worker(name, self.clock, self.depot, self, self.policy) for name in WORKERS}
        self.run_background()

    @property
    def processes(self) -> list[Process]:
        return [self.supervisor, *self.workers.values()]

    def run_background(self) -> None:
        """Whatever a process does by itself, as far as it gets at this instant."""
        while waiting := [g for p in self.processes for g in p.loop.gates if g.actor == BACKGROUND]:
            for gate in waiting:
                gate.open()
                gate.loop.settle()
        self.noticed()

    # Turns, and what is told of them.

    def tick(self, *, quiet: bool = False) -> int:
        """The next turn. `quiet`: what happens in it changes the answer to no question that could be asked now."""
        self.ledger.turn += 1
        self._stirred += not quiet
        return self.ledger.turn

    @property
    def as_it_is(self) -> object:
        """Equal as long as every question that could be asked now has the same answer."""
        return self._stirred, self.clock.now, *(worker.backlog.pending for worker in self.workers.values())

    def note(self, line: str) -> None:
        self.story.append(f"{self.ledger.turn:4d} {self.clock.now % 100_000:8.2f}s  {line}")

    def judge(self, read: Read) -> None:
        """Raises PromiseBroken, with the end of the story."""
        try:
            self._promises.check(read)
        except PromiseBroken as broken:
            told = "\n".join(self.story[-_TOLD:])
            broken.add_note(f"The story, in turns and seconds, up to there:\n{told}")
            raise

    # Journal: what the processes ask of the store.

    def asked(self, call: Call) -> None:
        self.ledger.asked(call)

    def taken(self, call: Call) -> None:
        turn = self.tick(quiet=call.operation == "decide")
        self.ledger.took(call, self.clock.now)
        self.note(f"{call.actor}: the store took {call.operation} of {call.process}")
        if call.operation == "decide":
            for exchange in self.gateway.under_way:
                if exchange.label == call.actor and exchange.read is not None:
                    exchange.read.decided, exchange.read.decided_at = turn, self.clock.now

    def failed(self, call: Call) -> None:
        self.ledger.failed(call)
        if call.actor != BACKGROUND:
            self.note(f"{call.actor}: {call.operation} of {call.process} failed")

    def given_up(self, call: Call, operation: Operation) -> None:
        self.late.append((call, operation))

    def late_call(self, index: int) -> None:
        """A call whose caller gave up takes effect after all."""
        call, operation = self.late.pop(index % len(self.late))
        self.note(f"{call.actor}: {call.operation} of {call.process}, given up before, arrives")
        self.depot.run(operation(self.depot.store))
        self.taken(call)

    # Requests through this site.

    def read(self, client: Client, name: Name, reference: Reference, worker: str) -> Exchange:
        label = f"read {next(self._labels)}"
        turn = self.tick(quiet=True)
        read = Read(client, name, reference, worker, turn, turn, self.clock.now)
        exchange = Exchange(label, client, name, reference, self.clock.now, read=read)
        exchange.worker = self.workers.get(worker)
        self.note(f"{label}: {client.name} asks {worker or 'Envoy'} for {name}:{called(reference)}")
        self.gateway.start(exchange)
        return exchange

    def write(self, client: Client, name: Name, change: Change, worker: str) -> Exchange:
        label = f"write {next(self._labels)}"
        self.tick()
        exchange = Exchange(label, client, name, change.reference, self.clock.now, change=change)
        exchange.worker = self.workers.get(worker)
        write = self._begun(label, name, change, Via.SEEN if worker else Via.UNSEEN, worker)
        exchange.write = self.ledger.begin(write, label, f"copy of {label}")
        what = called(change.content) if change.content else "nothing"
        self.note(f"{label}: {client.name}, by {worker or 'Envoy'}: {name}:{called(change.reference)} becomes {what}")
        self.gateway.start(exchange)
        return exchange

    def _begun(self, label: str, name: Name, change: Change, via: Via, writer: str) -> Write:
        keys = frozenset({change.reference} | ({change.tag} if change.tag else set()))
        what = f"{label} ({change.method} {called(change.reference)})"
        return Write(what, name, change.reference, keys, change.method == "DELETE", via, writer)

    def another_worker(self) -> Worker | None:
        return next((worker for worker in self.workers.values() if worker.loop.alive), None)

    def adopt(self, worker: str, rollout: Rollout) -> None:
        """One worker's, for they do not change together. A worker that starts anew serves."""
        self.note(f"{worker} goes by another rollout: {rollout.mode.value}, without {list(rollout.exclude)}")
        self.workers[worker].router.adopt(replace(self.policy, rollout=rollout))

    def copy_comes(self, exchange: Exchange) -> None:
        """The copy of an unseen write reaches the admin server."""
        self.gateway.copies.remove(exchange)
        assert exchange.change is not None
        actor = f"copy of {exchange.label}"
        self.note(f"{actor} has come")
        self.supervisor.loop.start(actor, self.supervisor.unseen.take(exchange.change.method, exchange.path))

    # Requests past this site.

    def elsewhere(self, name: Name, change: Change) -> None:
        """A client of the primary itself."""
        label = f"write {next(self._labels)} elsewhere"
        self.tick()
        exchange = Exchange(label, PUSHER, name, change.reference, self.clock.now, change=change)
        exchange.write = self.ledger.begin(self._begun(label, name, change, Via.ELSEWHERE, ""))
        what = called(change.content) if change.content else "nothing"
        self.note(f"{label}: {name}:{called(change.reference)} becomes {what}")
        if self.gateway.tell_first(exchange):
            self.gateway.strays.append(exchange)
        else:
            self.gateway.apply(exchange)

    def renamed(self, name: Name) -> None:
        other = next(each for each in NAMES if each != name)
        label = f"rename {next(self._labels)}"
        self.tick()
        self.note(f"{label}: {name} becomes {other}")
        write = Write(label, name, None, frozenset(), True, Via.ELSEWHERE, "", also=other)
        self.ledger.begin(write)
        self.changed(write, {name: EMPTY, other: self.primary.now.content[name]})
        target = {"repository": name, "rename": {"type": "name", "from": name, "to": other}}
        self._send(EventSite.PRIMARY, "rename", target, write)

    def stray_arrives(self, exchange: Exchange) -> None:
        """The primary does what nobody here waits for, or no more."""
        self.gateway.strays.remove(exchange)
        self.tick()
        self.note(f"{exchange.label}: the primary answers nobody with {self.gateway.apply(exchange).status}")

    def changed(self, write: Write | None, content: Content) -> None:
        """The primary is another from now on."""
        turn = self.tick()
        version = self.primary.become(turn, self.clock.now, content)
        if write is not None:
            self.ledger.applied(write, version, self.clock.now)

    # Replication and notifications.

    def pushed_as_blob(self, name: Name, blob: AsBlob) -> None:
        """At the primary. It changes nothing here, whichever way it went (design §4), and no notice of it does."""
        self.tick()
        self.note(f"{name}: {called(blob)} is pushed")
        self.changed(None, {name: self.primary.now.content[name].with_blob(blob)})

    def replicate(self, name: Name, digest: Held, tag: Tag | None) -> None:
        """One job, of whatever age: it brings what the primary had at some time."""
        self.tick()
        self.note(f"replication: {name}:{tag or called(digest)} is {called(digest)} at the secondary")
        self.secondary.copy(name, digest, tag)
        told = {"mediaType": media_type_of(digest), "digest": digest_of(digest)}
        target = {**told, "repository": name, "tag": tag}
        self._send(EventSite.SECONDARY, "push", target)

    def replicate_all(self) -> None:
        """The secondary is as the primary is now."""
        self.tick()
        self.note("replication: the secondary equals the primary")
        self.secondary.content = dict(self.primary.now.content)

    def secondary_loses(self, name: Name, reference: Reference) -> None:
        self.tick()
        self.note(f"the secondary loses {name}:{called(reference)}")
        self.secondary.lose(name, reference)
        if not isinstance(reference, Tag):
            self._send(EventSite.SECONDARY, "delete", {"digest": digest_of(reference), "repository": name})

    def tell(self, write: Write | None, name: Name, change: Change) -> None:
        """The primary's registry tells of a write."""
        if change.content is not None:
            tag = change.reference if isinstance(change.reference, Tag) else None
            digest = change.content
            target = {"mediaType": media_type_of(digest), "digest": digest, "repository": name, "tag": tag}
            # No registry tells the tag that a push by digest moved as well.
            self._send(EventSite.PRIMARY, "push", target, None if change.tag else write)
        elif isinstance(change.reference, Tag):
            self._send(EventSite.PRIMARY, "delete", {"repository": name, "tag": change.reference}, write)
        else:
            target = {"repository": name, "digest": digest_of(change.reference)}
            self._send(EventSite.PRIMARY, "delete", target, write)

    def deliver(self, notice: Notice) -> None:
        """It reaches the admin server, perhaps again. It stays, for it may come once more."""
        if notice in self.taking:
            return
        self.tick()
        self.note(f"{notice.label}: comes")
        notice.taking = self.supervisor.loop.start(
            notice.label, self.supervisor.notified(notice.site, notice.envelope)
        )
        self.taking.append(notice)
        self.noticed()

    # Reconcile and renewals

    def reconcile(self, name: Name, *, bulk: bool, blobs: bool) -> str:
        """A run comes to this name. Gives the actor's name."""
        loop = self.supervisor.loop
        asked = [Asked(self, loop, which, bulk=bulk) for which in ("primary", "secondary")]
        return self._errand("reconcile", loop, self.supervisor.reconcile(name, *asked, blobs=blobs))

    def renew(self, worker: str, name: Name, tag: Tag) -> str:
        """A worker thinks that this lease is due. Gives the actor's name."""
        at_work = self.workers[worker]
        asked = Asked(self, at_work.loop, "primary")
        return self._errand("renewal", at_work.loop, at_work.renew(asked, name, tag))

    def _errand(self, what: str, loop: Loop, errand: Coroutine[Any, Any, None]) -> str:
        label = f"{what} {next(self._labels)}"
        self.tick()
        self.note(f"{label} begins at {loop.name}")
        self.errands.append(loop.start(label, errand))
        return label

    def noticed(self) -> None:
        """Whatever a process has finished takes effect outside it."""
        self.gateway.noticed()
        for errand in [errand for errand in self.errands if errand.done()]:
            self.errands.remove(errand)
            errand.result()
        for notice in list(self.taking):
            if notice.taking is not None and notice.taking.done():
                self.taking.remove(notice)
                turn, acknowledged = self.tick(), notice.taking.result()
                self.note(f"{notice.label}: {'acknowledged' if acknowledged else 'to be sent again'}")
                if acknowledged and notice.write is not None:
                    notice.write.acknowledged(turn)

    def _send(self, site: EventSite, action: str, target: Mapping[str, object], write: Write | None = None) -> None:
        label = f"notice {next(self._labels)} of the {site.value} ({action})"
        told = {key: value for key, value in target.items() if value is not None}
        envelope = json.dumps({"events": [{"id": label, "action": action, "target": told}]}).encode()
        self.notices.append(Notice(label, site, envelope, write))
        if write is not None:
            self.ledger.attribute(label, write)
