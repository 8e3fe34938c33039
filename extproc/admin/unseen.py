"""Writes that reached the primary without a decision: Envoy mirrors them here (`request_mirror_policies`).

A worker that is killed, stopped or too slow must not make a push fail, so Envoy sends it on unseen. (A DELETE by
digest it refuses: no copy may be lost where a tombstone is needed.) Its copy takes operation 2 all the same, with a
mark that nobody lifts: between the copy and the primary's 2xx a read could still see, and learn, what the write is
about to replace. The mark ends that, and expires when the write must be over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from extproc.evidence.mark import unseen_mark
from extproc.evidence.model import Invalidation
from extproc.oci.operation import Kind
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Name
from extproc.routing.decision import invalidation_of

_HARMLESS: Final = frozenset({Kind.UPLOAD, Kind.WRITE})
"""They change neither a tag nor what is deleted, as when the router sees them."""


class Invalidations(Protocol):
    """Takes invalidations and keeps those that the store did not take. Never raises for the store."""

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> object: ...
    async def void_leases(self) -> None: ...


class UnseenWrites:
    """What the copies make untrue."""

    def __init__(
        self, invalidations: Invalidations, mark_ttl: float, count: Callable[[], None] = lambda: None
    ) -> None:
        """`mark_ttl`: seconds, longer than a write can last; `count` is called once for each copy."""
        self._invalidations = invalidations
        self._mark_ttl = mark_ttl
        self._count = count

    async def take(self, method: str, path: str) -> None:
        """`path` as Envoy forwarded it, with its query."""
        self._count()
        operation = parse_operation(method, path)
        what = invalidation_of(operation)
        if what is not None and operation.name is not None:
            await self._invalidations.begin_write(operation.name, unseen_mark(), what, self._mark_ttl)
        elif operation.kind not in _HARMLESS:
            # The edge refuses writes it cannot read, so this is a route that grew ahead of us: trust nothing.
            await self._invalidations.void_leases()

    async def unreadable(self) -> None:
        """A request that cannot be read: whose write it is a copy of, if of any, nobody knows."""
        self._count()
        await self._invalidations.void_leases()
