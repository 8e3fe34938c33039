"""The store that all processes share, with what can befall it; and each process's way to it, a gate on each side.

Between a call and its effect, and between its effect and its answer, lies a gate: another exchange may run there, the
call may fail there (before: nothing happened; after: it happened, and nobody was told), its time may run out, or its
caller die.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Arrived, Changed, Evidence, Invalidation, Observation, Record, Snapshot
from extproc.evidence.store import Store, StoreUnavailable, names_in
from extproc.oci.reference import Digest, Name, Tag
from tests.model.scheduler import ACTOR, Loop, at_once

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that changes what is kept, as a process asked for it."""

    process: str
    actor: str
    operation: str
    name: Name | None = None
    mark: str = ""
    ttl: float = 0.0


Operation = Callable[[Store], Awaitable[object]]


class Journal(Protocol):
    """Hears what becomes of the calls."""

    def asked(self, call: Call) -> None: ...
    def taken(self, call: Call) -> None: ...
    def failed(self, call: Call) -> None: ...
    def given_up(self, call: Call, operation: Operation) -> None:
        """It had no effect yet, and nobody waits for it any more. A command once sent may still arrive."""


class Depot(Protocol):
    """A real store, and its mishaps. All at once: no call of these waits."""

    @property
    def store(self) -> Store: ...
    def run(self, call: Awaitable[T]) -> T:
        """The outcome of one of the store's operations, made to its end here and now."""

    def peek(self, name: Name, reference: Tag | Digest) -> Evidence:
        """As `decide`, leaving no trace."""

    def empty(self) -> None:
        """All is lost."""

    def lose(self, name: Name) -> None:
        """One name is lost, as with one node of a cluster."""


class MemoryDepot:
    """MemoryStore, which can also go back to how it was, as a failover to a replica that lagged does."""

    def __init__(self, clock: Callable[[], float], *, absent_ttl: float, name_ttl: float) -> None:
        self._clock, self._absent_ttl, self._name_ttl = clock, absent_ttl, name_ttl
        self.empty()

    @property
    def store(self) -> MemoryStore:
        return self._store

    def run(self, call: Awaitable[T]) -> T:
        return at_once(call)

    def peek(self, name: Name, reference: Tag | Digest) -> Evidence:
        known = name in self._store._names
        evidence = self.run(self._store.decide(name, reference))
        if not known:
            self.lose(name)
        return evidence

    def empty(self) -> None:
        self._store = MemoryStore(self._absent_ttl, self._clock, name_ttl=self._name_ttl)

    def lose(self, name: Name) -> None:
        self._store._names.pop(name, None)
        self._store._idle.pop(name, None)

    def checkpoint(self) -> MemoryStore:
        """To be given to `go_back`."""
        kept = copy.copy(self._store)
        for part in ("_names", "_idle", "_notes", "_claims"):
            setattr(kept, part, copy.deepcopy(getattr(kept, part)))
        return kept

    def go_back(self, kept: MemoryStore) -> None:
        self._store = kept


class GatedStore:
    """`Store`, as one process reaches it."""

    def __init__(self, depot: Depot, loop: Loop, journal: Journal) -> None:
        self._depot = depot
        self._loop = loop
        self._journal = journal
        self.reachable = True
        self._sent: list[tuple[Call, Operation]] = []

    def kill(self) -> None:
        """The process is dead."""
        for call, operation in self._sent:
            self._journal.given_up(call, operation)

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        return await self._do(Call("", "", "decide", name), lambda store: store.decide(name, reference))

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        call = Call("", "", "begin_write", name, mark, ttl)
        await self._do(call, lambda store: store.begin_write(name, mark, what, ttl))

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        await self._do(Call("", "", "end_write", name, mark), lambda store: store.end_write(name, mark, what))

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        return await self._do(Call("", "", "learn", name), lambda store: store.learn(name, snapshot, seen))

    async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
        return await self._do(Call("", "", "learn_all", name), lambda store: store.learn_all(name, snapshot, seen))

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        call = Call("", "", "primary_changed", name)
        return await self._do(call, lambda store: store.primary_changed(name, what, pushed=pushed))

    async def primary_dropped(self, name: Name) -> None:
        await self._do(Call("", "", "primary_dropped", name), lambda store: store.primary_dropped(name))

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> Sequence[Arrived]:
        told = list(digests)
        return await self._do(Call("", "", "secondary_has", name), lambda store: store.secondary_has(name, told))

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        await self._do(Call("", "", "secondary_lost", name), lambda store: store.secondary_lost(name, digest))

    async def void_leases(self) -> None:
        await self._do(Call("", "", "void_leases"), lambda store: store.void_leases())

    async def inspect(self, name: Name) -> Record:
        return await self._do(Call("", "", "inspect", name), lambda store: store.inspect(name))

    async def note(self, topic: str, text: str | None) -> None:
        await self._do(Call("", "", "note"), lambda store: store.note(topic, text))

    async def noted(self, topic: str) -> str | None:
        return await self._do(Call("", "", "noted"), lambda store: store.noted(topic))

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        return await self._do(Call("", "", "claim"), lambda store: store.claim(topic, owner, ttl))

    async def release(self, topic: str, owner: str) -> None:
        await self._do(Call("", "", "release"), lambda store: store.release(topic, owner))

    async def ping(self) -> None:
        await self._do(Call("", "", "ping"), lambda store: store.ping())

    def names(self) -> AsyncIterator[Name]:
        return names_in(self.pages())

    async def pages(self) -> AsyncIterator[Sequence[Name]]:
        async def all_of(store: Store) -> list[Name]:
            return [name async for name in store.names()]

        yield await self._do(Call("", "", "pages"), all_of)

    async def close(self) -> None:
        """The depot is everybody's."""

    async def _do(self, shape: Call, operation: Callable[[Store], Awaitable[T]]) -> T:
        call = Call(self._loop.name, ACTOR.get(), shape.operation, shape.name, shape.mark, shape.ttl)
        self._journal.asked(call)
        sent: tuple[Call, Operation] = (call, operation)
        try:
            self._check()
            self._sent.append(sent)
            await self._loop.gate(f"before {call.operation}")
            self._sent.remove(sent)
            self._check()
            outcome = self._depot.run(operation(self._depot.store))
            self._journal.taken(call)
            await self._loop.gate(f"after {call.operation}")
            self._check()
        except BaseException as error:
            if not self._loop.alive:
                # Python closes what the dead left behind, some time.
                raise
            if sent in self._sent:
                self._sent.remove(sent)
                if not isinstance(error, StoreUnavailable):
                    # The time for it is over, or the client is gone.
                    self._journal.given_up(call, operation)
            self._journal.failed(call)
            raise
        return outcome

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the model cut this process off")
