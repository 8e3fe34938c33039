"""The store's protocol: six atomic operations on one name, the site-wide voiding of leases, and what is read or
kept beside evidence: the record of a name, the names, notes and claims.

Rules (docs/evidence.md says why each is needed)
1. Each call is atomic on its name; times are the store's own.
2. An epoch is created when missing; a missing epoch matches nothing.
3. `learn` takes effect only if the epoch is the snapshot's; a lease counts only while the generation that it was
   learned under is the current one.
4. Only `learn` with `primary_has` lifts a tombstone, and only as what the primary served: a manifest or a blob.
5. A mark expires by itself, never before its `ttl`; a name never expires before its marks and tombstones.
6. No lease of a tag is written from a question asked within `PUSH_SETTLES` of a told push of that tag, but for the
   digest told last. Nor does a lease replace one of a later question.
7. `inspect`, `names` and `pages` change nothing; no decision is made on what they tell. Awaiting, notes and claims
   are read by no decision either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

from extproc.evidence.model import Arrived, Changed, Evidence, Invalidation, Observation, Record, Snapshot
from extproc.oci.reference import Digest, Name, Tag

LONGEST_STEP: Final = 200
"""Observations, or digests, taken in one step and one budget: it holds up the whole store, so it is short."""


PUSH_SETTLES: Final = 5.0
"""Seconds. distribution tells a push before it moves the tag: what it still answers in between must not be leased."""
LONGEST_EXCHANGE: Final = 600.0
"""Seconds from a snapshot to what is learned under it, after which no lease is: its answer may be of any time."""


class StoreUnavailable(Exception):
    """The store did not take or answer an operation. The message says which store and why, no secrets."""


class StoreRefused(StoreUnavailable):
    """It answers, but not to us: a wrong password, or a user that may not do what an operation needs."""


class StoreUnusable(StoreUnavailable):
    """What answers is not what the settings say: another kind of Redis, another name of the master, a certificate
    that one of the two sides does not accept. Waiting does not help."""


class Question(Protocol):
    """One that was asked by `Asking.ask`."""

    def give_up(self) -> None:
        """Nobody waits for the answer any more."""


@runtime_checkable
class Asking(Protocol):
    """A store that can be asked without a task waiting for it, as most requests ask."""

    def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> Question:
        """As `Store.decide`: what it gives or raises is told to `then` once, perhaps before this returns.

        `then` must not raise. What is decided in it is decided in the same turn in which the answer came: no other
        exchange of this process runs in between, as may where a task waits.
        """


@runtime_checkable
class Askable(Protocol):
    """A store that knows whether it can be asked so."""

    @property
    def asking(self) -> Asking | None:
        """How; None where it cannot be."""


class Store(Protocol):
    """Every method raises StoreUnavailable; nothing is known then about whether it took effect."""

    async def decide(self, name: Name, reference: Tag | Digest) -> Evidence:
        """Operation 1: what is known of `reference` under `name`, at this instant."""

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> None:
        """Operation 2, before a write is forwarded: new epoch, a mark for `ttl` seconds, invalidate.

        A mark that is there already keeps the later end; those of unseen writes are one (`mark.kept_as`).
        """

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        """Operation 3, before a write's response is passed on: new epoch, invalidate, lift the mark."""

    async def learn(self, name: Name, snapshot: Snapshot, seen: Observation) -> bool:
        """Operation 4: write what an exchange showed. False if the snapshot no longer holds.

        True too where rule 6 keeps a lease from being written.
        """

    async def learn_all(self, name: Name, snapshot: Snapshot, seen: Sequence[Observation]) -> bool:
        """Operation 4 for many observations, all begun under one snapshot. False if it no longer holds; then some
        of them, the first ones, may have been taken (each was, while it held)."""

    async def primary_changed(self, name: Name, what: Invalidation, *, pushed: Digest | None = None) -> Changed:
        """Operation 5, and operation 2 without a mark for a write that no processor saw.

        `pushed`: the manifest that a push notification names. With a tag, rule 6 minds it. And it is awaited at the
        secondary, which is no evidence.
        Not if it is PRESENT; told again, it is awaited since the first time. It ends by the digest becoming PRESENT,
        by a tombstone for it or a drop of the name, and after `name_ttl`.
        """

    async def primary_dropped(self, name: Name) -> None:
        """Operation 5 for a name renamed or deleted: all its digests are as if deleted, its leases void."""

    async def secondary_has(self, name: Name, digests: Iterable[Digest]) -> Sequence[Arrived]:
        """Operation 6: present, unless deleted. Touches neither leases nor tombstones.

        Gives those that were awaited and became present by this call.
        """

    async def secondary_lost(self, name: Name, digest: Digest) -> None:
        """Operation 6: no longer present."""

    async def void_leases(self) -> None:
        """Every lease learned from an exchange that began before now is void, for all names."""

    async def inspect(self, name: Name) -> Record:
        """All that is held of `name`; an empty record when nothing is."""

    def names(self) -> AsyncIterator[Name]:
        """Every name that the store holds something of, each once, in no order; those that come or go meanwhile may
        be missing."""

    def pages(self) -> AsyncIterator[Sequence[Name]]:
        """The same, a page for each round trip; a page may be empty."""

    async def note(self, topic: str, text: str | None) -> None:
        """Keep a text for the site under `topic` (None: no longer); no evidence, just what a later run reads."""

    async def noted(self, topic: str) -> str | None:
        """The text kept under `topic`."""

    async def claim(self, topic: str, owner: str, ttl: float) -> bool:
        """Hold `topic` for `ttl` seconds from now, or go on holding it. False while another owner does."""

    async def release(self, topic: str, owner: str) -> None:
        """No longer hold it; nothing happens if another owner does."""

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store does not answer."""

    async def close(self) -> None:
        """Release connections. The store is not used afterwards."""


async def names_in(pages: AsyncIterator[Sequence[Name]]) -> AsyncIterator[Name]:
    """`Store.names` of `Store.pages`."""
    async for page in pages:
        for name in page:
            yield name
