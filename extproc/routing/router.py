"""The one async story: a request's head comes in, its route and reason go out; its answer teaches.

    route()     parse → verify → admit → [decide on evidence] → resolve, and operation 2 around a write; in two
                steps for who would rather not wait where no store is asked: begin(), finish()
    observe()   the response phase: operation 3 for a write, operation 4 (learn) for a read

The router never raises for a store that fails: the request then goes to the primary (promise P1). A request
that ends between the two calls needs nothing: its mark stays until it expires, longer than the write can last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import uuid4

from extproc.auth.grant import Grant, Rejection
from extproc.evidence.model import Evidence, Invalidation, Lease, Observation, Snapshot, Unavailable
from extproc.evidence.store import StoreUnavailable
from extproc.oci.operation import Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.accept import accepted_media_types
from extproc.routing.decision import Credential, Forward, Lookup, Refuse, admit, resolve
from extproc.routing.learning import observation_of
from extproc.routing.message import RequestHead, ResponseHead
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason

MARK_MARGIN: Final = 5.0
"""Seconds that a mark outlives the longest write: Envoy counts from the stream's start, but its timer, the
response phase and the store's budget come on top."""

_NONE: Final = frozenset[str]()
"""Of a digest nobody asks what the client accepts."""
_UNRECORDED: Final = "the deletion cannot be recorded at this site just now; try again"


class Verifier(Protocol):
    """Turns the values of `Authorization` into a grant; `now` in seconds since the Unix epoch."""

    def verify(self, authorization: Sequence[str], now: float) -> Grant | Rejection: ...


class Facts(Protocol):
    """The part of a store that reads need. Both raise StoreUnavailable."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence: ...
    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool: ...


class Asking(Protocol):
    """Reads that no task waits for."""

    def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> object:
        """`then` is told once what `Facts.decide` would give or raise, perhaps before this returns."""


class Writes(Protocol):
    """Takes invalidations and keeps those that the store did not take. Never raises for the store."""

    def blocks(self, name: Name) -> bool:
        """Whether something is kept for `name`: this worker then trusts no evidence of it."""

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> bool:
        """Whether the store has taken it already."""

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None: ...


class Interest(Protocol):
    """Hears which tags are in use, so that somebody may keep their leases fresh. Neither blocks nor raises."""

    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        """A read that was let in; `lease` is what the store gave for it, of any age."""

    def tag_written(self, name: Name, tag: Tag) -> None:
        """A write of it has ended, and its lease was dropped."""


class NoInterest:
    """Nobody keeps leases fresh but the readers themselves."""

    def tag_read(self, name: Name, tag: Tag, lease: Lease | None) -> None:
        """Nothing follows."""

    def tag_written(self, name: Name, tag: Tag) -> None:
        """Nothing follows."""


@dataclass(init=False, slots=True)
class Routed:
    """A decided request, kept until its response phase or its end."""

    operation: Operation
    decision: Forward | Refuse
    snapshot: Snapshot | None
    """For a read that observes: what `learn` compares."""
    mark: str
    """For a write: its own mark."""
    credential: Credential
    """What the decision made of the token, for whoever records it."""
    evidence: Evidence | Unavailable | None
    """What was known, likewise; None where nothing was asked."""

    def __init__(  # noqa: PLR0917 - its fields
        self,
        operation: Operation,
        decision: Forward | Refuse,
        snapshot: Snapshot | None = None,
        mark: str = "",
        credential: Credential = None,
        evidence: Evidence | Unavailable | None = None,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.operation = operation
        self.decision = decision
        self.snapshot = snapshot
        self.mark = mark
        self.credential = credential
        self.evidence = evidence

    @property
    def looked_up(self) -> bool:
        """Whether the decision needed evidence."""
        return self.evidence is not None

    @property
    def wants_response(self) -> bool:
        return isinstance(self.decision, Forward) and (
            self.decision.observe or self.decision.invalidation is not None
        )


@dataclass(init=False, slots=True)
class Pending:
    """A request of which all is known but what the store says."""

    head: RequestHead
    operation: Operation
    admitted: Lookup | Forward
    """A write, or what evidence decides."""
    credential: Credential
    policy: Policy

    def __init__(
        self,
        head: RequestHead,
        operation: Operation,
        admitted: Lookup | Forward,
        credential: Credential,
        policy: Policy,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.head = head
        self.operation = operation
        self.admitted = admitted
        self.credential = credential
        self.policy = policy


class Router:
    """Decides each exchange of one worker. Stateless but for its parts."""

    def __init__(
        self,
        *,
        verifier: Verifier | None,
        facts: Facts,
        writes: Writes,
        policy: Policy,
        now: Callable[[], float],
        interest: Interest | None = None,
        asking: Asking | None = None,
    ) -> None:
        """`verifier` is None for `auth = "passthrough"`; `now` gives seconds since the Unix epoch. `asking`: another
        way to the same facts."""
        self._verifier = verifier
        self._facts = facts
        self._writes = writes
        self._policy = policy
        self._now = now
        self._interest = interest or NoInterest()
        self._asking = asking

    def adopt(self, policy: Policy) -> None:
        """From the next exchange on, decide by `policy`. One that has begun ends as it began.

        A mark must outlive Envoy's bound on its write, and Envoy's routes are not changed by this: a shorter
        `write_timeout` counts from the next start on.
        """
        longest = max(policy.write_timeout, self._policy.write_timeout)
        self._policy = replace(policy, write_timeout=longest)

    async def route(self, head: RequestHead) -> Routed:
        begun = self.begin(head)
        return begun if isinstance(begun, Routed) else await self.finish(begun)

    def begin(self, head: RequestHead) -> Routed | Pending:
        """All that needs no store."""
        # The one that the whole exchange is decided by: another may be adopted while it waits for the store.
        policy = self._policy
        operation = parse_operation(head.method, head.path)
        credential = self._credential(head)
        admitted = admit(operation, credential, policy.rollout, promoted=policy.promoted)
        if isinstance(admitted, Lookup) or (isinstance(admitted, Forward) and admitted.invalidation is not None):
            return Pending(head, operation, admitted, credential, policy)
        return Routed(operation, admitted, credential=credential)

    async def finish(self, pending: Pending) -> Routed:
        """The rest of what `begin` gave."""
        admitted = pending.admitted
        if isinstance(admitted, Lookup):
            return await self._look_up(admitted, pending)
        return await self._write(admitted, pending)

    def asks(self, pending: Pending) -> bool:
        """Whether `ask` may be called for it."""
        name = pending.operation.name
        return (
            self._asking is not None
            and isinstance(pending.admitted, Lookup)
            and name is not None
            and not self._writes.blocks(name)
        )

    def ask(self, pending: Pending, then: Callable[[Routed | Exception], None]) -> None:
        """`finish` without a task: `then` is told of its outcome, perhaps before this returns, and must not raise."""
        lookup, operation = pending.admitted, pending.operation
        if (
            self._asking is None
            or not isinstance(lookup, Lookup)
            or operation.name is None
            or operation.reference is None
        ):
            raise AssertionError(f"{operation} is not looked up so")

        def told(outcome: Evidence | Exception) -> None:
            found = Unavailable(str(outcome)) if isinstance(outcome, StoreUnavailable) else outcome
            if isinstance(found, Exception):
                then(found)
                return
            try:
                routed = self._looked_up(lookup, pending, found)
            except Exception as error:
                # A fault of ours is this request's alone: whoever tells us goes on.
                then(error)
            else:
                then(routed)

        self._asking.ask(operation.name, operation.reference, told)

    async def _write(self, admitted: Forward, pending: Pending) -> Routed:
        operation, credential = pending.operation, pending.credential
        if admitted.invalidation is None or operation.name is None:
            raise AssertionError(f"{operation} makes nothing untrue")
        mark = uuid4().hex
        taken = await self._writes.begin_write(
            operation.name, mark, admitted.invalidation, pending.policy.write_timeout + MARK_MARGIN
        )
        if admitted.invalidation.tombstone is not None and not taken:
            # What is kept here only is lost with this worker, and then the secondary would serve what was
            # deleted, for good: no new access (P6) goes before availability (P1). A lease only ages.
            refused = Refuse(503, Reason.EVIDENCE_UNAVAILABLE, fault=_UNRECORDED)
            return Routed(operation, refused, credential=credential)
        return Routed(operation, admitted, mark=mark, credential=credential)

    async def observe(self, routed: Routed, response: ResponseHead) -> None:
        """Called with the final answer's head, before it is passed on to the client."""
        name, decision = routed.operation.name, routed.decision
        if name is None or isinstance(decision, Refuse):
            return
        if decision.invalidation is not None:
            await self._writes.end_write(name, routed.mark, decision.invalidation)
            if decision.invalidation.tag is not None:
                self._interest.tag_written(name, decision.invalidation.tag)
        elif routed.snapshot is not None and not self._writes.blocks(name):
            seen = observation_of(routed.operation, decision, response)
            if seen is not None:
                await self._learn(name, routed.snapshot, seen)

    def _credential(self, head: RequestHead) -> Credential:
        if self._verifier is None:
            return None
        return self._verifier.verify(head.authorization, self._now())

    async def _look_up(self, lookup: Lookup, pending: Pending) -> Routed:
        return self._looked_up(lookup, pending, await self._evidence(lookup.operation))

    def _looked_up(self, lookup: Lookup, pending: Pending, evidence: Evidence | Unavailable) -> Routed:
        operation, accepted = lookup.operation, _NONE
        if isinstance(operation.reference, Tag):
            accepted = accepted_media_types(pending.head.accept)
            if isinstance(evidence, Evidence) and operation.name is not None:
                self._interest.tag_read(operation.name, operation.reference, evidence.lease)
        decision = resolve(lookup, evidence, accepted, pending.policy)
        snapshot = evidence.snapshot if decision.observe and isinstance(evidence, Evidence) else None
        return Routed(operation, decision, snapshot=snapshot, credential=pending.credential, evidence=evidence)

    async def _evidence(self, operation: Operation) -> Evidence | Unavailable:
        if operation.name is None or operation.reference is None:
            raise AssertionError(f"{operation} is looked up without a name or reference")
        if self._writes.blocks(operation.name):
            return Unavailable("an invalidation of this name has not reached the store yet")
        try:
            return await self._facts.decide(operation.name, operation.reference)
        except StoreUnavailable as error:
            return Unavailable(str(error))

    async def _learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> None:
        # What is not learned now is learned from the next answer: a store that fails costs speed only.
        try:
            await self._facts.learn(name, snapshot, seen)
        except StoreUnavailable:
            return
