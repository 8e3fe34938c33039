"""What truly happened, for the promises to be judged by: each write's life, and what the store took and lost of it.

It is told facts (a call reached the store, a 2xx reached the client) and never reads the code's own bookkeeping, so
that a fault there excuses nothing.

A write is *cleared* from the turn on from which nothing that the store holds, or could yet learn, is from before it:
- the primary took it while its own mark was in the store; or
- after the primary took it, the store took one of its calls, its notification, or a void; or
- after the primary took it, all that the store knew of the name was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from extproc.oci.reference import Name
from tests.model.depot import Call
from tests.model.world import Held, Reference

_CALLS: Final = frozenset({"begin_write", "end_write"})
_NOTICES: Final = frozenset({"primary_changed", "primary_dropped"})


class Via(Enum):
    SEEN = "seen"
    """Through this site, decided by a worker."""
    UNSEEN = "unseen"
    """Through this site, by Envoy's default route, with a copy."""
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Taken:
    """A call of a write that the store took and did not lose since."""

    turn: int
    time: float
    name: Name
    mark_until: float = float("-inf")


@dataclass(slots=True)
class Write:
    """A manifest PUT, a DELETE, or a rename: from its start on."""

    label: str
    name: Name
    reference: Reference | None
    """None for a rename: all of the name."""
    keys: frozenset[Reference]
    """What its request names: the reference, and the tag that a PUT by digest moves."""
    deletes: bool
    via: Via
    writer: str
    """The worker, as long as it lives; empty otherwise."""
    also: Name | None = None
    """Of a rename: the name that it makes."""
    version: int | None = None
    """The primary's, that it made; None while it has not been taken."""
    applied: int | None = None
    applied_at: float = 0.0
    acked: int | None = None
    """When its 2xx reached the client."""
    told: int | None = None
    """When its notification was acknowledged: first after the primary did it, else last before that."""
    cleared: int | None = None
    calls: list[Taken] = field(default_factory=list)
    notices: list[Taken] = field(default_factory=list)
    unreached: bool = False
    """One of its calls failed, or nobody heard whether it did not."""
    lost: bool = False
    """The store lost what it had taken of it."""

    @property
    def names(self) -> tuple[Name, ...]:
        return (self.name,) if self.also is None else (self.name, self.also)

    def acknowledged(self, turn: int) -> None:
        """Its notification, perhaps not for the first time."""
        if self.told is None or self.applied is None or self.told < self.applied:
            self.told = turn

    def removes(self, digest: Held) -> bool:
        return self.deletes and (self.reference is None or self.reference == digest)


class Ledger:
    """All writes of one story."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self._by_mark: dict[str, Write] = {}
        self._by_actor: dict[str, Write] = {}
        self.turn = 0

    def begin(self, write: Write, *actors: str) -> Write:
        """`actors`: on whose behalf calls to the store belong to it."""
        self.writes.append(write)
        for actor in actors:
            self.attribute(actor, write)
        return write

    def attribute(self, actor: str, write: Write) -> None:
        self._by_actor[actor] = write

    def of_version(self, version: int) -> Write | None:
        return next((write for write in self.writes if write.version == version), None)

    # What the store was asked, took and lost.

    def asked(self, call: Call) -> None:
        write = self._by_actor.get(call.actor)
        if write is not None and call.mark:
            self._by_mark[call.mark] = write

    def took(self, call: Call, now: float) -> None:
        if call.operation == "void_leases":
            self._clear(self.writes)
        write = self._owner(call)
        if write is None or call.name is None:
            return
        if call.operation in _CALLS:
            write.calls.append(Taken(self.turn, now, call.name, now + call.ttl if call.ttl else float("-inf")))
            self._clear([write])
        elif call.operation in _NOTICES:
            write.notices.append(Taken(self.turn, now, call.name))
            self._clear([write])

    def failed(self, call: Call) -> None:
        write = self._owner(call)
        if write is not None and call.operation in _CALLS:
            write.unreached = True

    def emptied(self, names: tuple[Name, ...]) -> None:
        """Nothing is left of these names."""
        for write in self.writes:
            self._forget(write, names, 0)
            if write.name in names:
                self._clear([write])

    def went_back(self, turn: int) -> None:
        """What was taken since is lost, and what was void or dropped since may be back."""
        for write in self.writes:
            self._forget(write, write.names, turn)
            if write.cleared is not None and write.cleared > turn and not self._marked(write):
                write.cleared, write.lost = None, True

    # What became of a write.

    def applied(self, write: Write, version: int, now: float) -> None:
        write.version, write.applied, write.applied_at = version, self.turn, now
        if self._marked(write):
            write.cleared = self.turn

    def _owner(self, call: Call) -> Write | None:
        return self._by_mark.get(call.mark) if call.mark else self._by_actor.get(call.actor)

    def _marked(self, write: Write) -> bool:
        """Whether its own mark was in the store when the primary took it."""
        applied = write.applied
        return applied is not None and any(
            call.turn < applied and call.mark_until > write.applied_at for call in write.calls
        )

    def _clear(self, writes: list[Write]) -> None:
        for write in writes:
            if write.applied is not None and write.cleared is None:
                write.cleared = self.turn

    def _forget(self, write: Write, names: tuple[Name, ...], since: int) -> None:
        calls = [call for call in write.calls if call.turn <= since or call.name not in names]
        notices = [notice for notice in write.notices if notice.turn <= since or notice.name not in names]
        if len(calls) < len(write.calls) or len(notices) < len(write.notices):
            write.lost = True
        write.calls, write.notices = calls, notices
