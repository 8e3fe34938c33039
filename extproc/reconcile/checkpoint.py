"""What a run keeps in the store so that the next one goes on where it was killed.

The head (topic `reconcile-run`) is the authority: who, since when, what was counted, and how many names are done. The
names themselves are 64-bit hashes in topics of their own, a thousand each, in the order in which they were done; what
is there beyond the head's number does not count. So a name is counted once, whenever the run is killed, and a save
costs the same however many names are done. No order of the names is assumed: catalogs have none that lasts.

There is room for one run. An interrupted one over other names gives it up only when the next has names to save: until
then the head of the new run carries that of the old (`earlier`), whose names are untouched.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from pydantic import TypeAdapter

from extproc.evidence.store import Store
from extproc.oci.reference import Name
from extproc.reconcile.summary import Counts, Summary

FINISHED: Final = "reconcile"
"""The topic of the last finished run's summary."""
RUNNING: Final = "reconcile-run"
OLDEST: Final = 86400.0
"""Seconds: an interrupted run that began earlier is not continued."""
_HASH: Final = 8
_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """A run under way, or interrupted. `started` in seconds since the Unix epoch."""

    source: str
    by: str
    started: float
    done: int = 0
    counts: Counts = field(default_factory=Counts)
    earlier: Head | None = None
    """An interrupted run whose names are the ones kept, as long as this one has done none."""


_HEAD: Final = TypeAdapter(Head)


async def running(store: Store) -> Head | None:
    """The run under way or interrupted; None when there is none, or none that can be read."""
    text = await store.noted(RUNNING)
    if text is None:
        return None
    try:
        return _HEAD.validate_json(text)
    except ValueError:
        return None


async def finished(store: Store) -> Summary | None:
    """The last finished run; None when there is none, or none that can be read."""
    text = await store.noted(FINISHED)
    if text is None:
        return None
    try:
        return Summary.from_json(text)
    except ValueError:
        return None


class Checkpoint:
    """The names done and what was counted in them, here and, as of the last `save`, in the store."""

    def __init__(self, store: Store | None, head: Head, done: list[bytes], displaced: Head | None = None) -> None:
        """Without a store nothing is saved."""
        self._store = store
        self._done = done
        self._seen = set(done)
        self._saved = len(done)
        self._turn = asyncio.Lock()
        self.head = head
        self.resumed = len(done)
        """Names that an interrupted run had done."""
        self.displaced = displaced
        """An interrupted run that is not continued, and still kept; None once this one has saved a name."""

    @classmethod
    async def open(cls, store: Store, source: str, by: str, now: float, *, fresh: bool = False) -> Checkpoint:
        """Continue an interrupted run over the same source, or begin one. Raises StoreUnavailable."""
        old = await running(store)
        if old is not None and old.done == 0:
            # It has done nothing, so there is nothing to go on from, its start neither.
            old = old.earlier
        recent = old is not None and 0 <= now - old.started <= OLDEST
        if old is not None and recent and not fresh and old.source == source:
            done = await _read(store, old.done)
            if len(done) == old.done:
                checkpoint = cls(store, Head(source, by, old.started, old.done, old.counts), done)
                await checkpoint.save()
                return checkpoint
            recent = False
        if old is not None and not recent:
            await _clear(store, old.done)
        checkpoint = cls(store, Head(source, by, now), [], old if recent else None)
        await checkpoint.save()
        return checkpoint

    @classmethod
    def unsaved(cls, source: str, by: str, now: float) -> Checkpoint:
        """For a run over a few names: the notes of the site are left alone."""
        return cls(None, Head(source, by, now), [])

    def __contains__(self, name: Name) -> bool:
        return _hash(name) in self._seen

    @property
    def counts(self) -> Counts:
        return self.head.counts

    @property
    def kept(self) -> str:
        """What a message about an early end says of the names that are done; empty when none is."""
        if self._store is None or not self._done or self.displaced is not None:
            return ""
        return f", {len(self._done)} names are done and kept: the next run goes on from there"

    def add(self, name: Name, counts: Counts) -> None:
        """This name is done."""
        key = _hash(name)
        self._done.append(key)
        self._seen.add(key)
        head = self.head
        self.head = Head(head.source, head.by, head.started, len(self._done), head.counts + counts)

    async def save(self) -> None:
        """Raises StoreUnavailable; what was saved before is then still good."""
        if self._store is None:
            return
        async with self._turn:
            done, head = len(self._done), self.head
            if done and self.displaced is not None:
                # The topics of its names become ours: first nobody may go on from them.
                await self._note(Head(head.source, head.by, head.started))
                await _clear(self._store, self.displaced.done)
                self.displaced = None
            first = self._saved // _CHUNK
            for number in range(first, -(-done // _CHUNK)):
                packed = b"".join(self._done[number * _CHUNK : min((number + 1) * _CHUNK, done)])
                await self._store.note(f"{RUNNING}-{number}", base64.b85encode(packed).decode())
            await self._note(replace(head, earlier=self.displaced))
            self._saved = done

    async def close(self) -> None:
        """The run ended before its end: keep what is done, or the run before it where that was not yet displaced.

        Raises StoreUnavailable.
        """
        if self._done and self.displaced is None:
            await self.save()
        else:
            await self._note(self.displaced)

    async def finish(self, now: float) -> Summary:
        """Keep the summary, and nothing to continue but a run that this one did not displace. Raises
        StoreUnavailable."""
        head = self.head
        summary = Summary.of(head.counts, source=head.source, by=head.by, started=head.started, finished=now)
        if self._store is not None:
            await self._store.note(FINISHED, summary.to_json())
            await self._note(self.displaced)
            if self.displaced is None:
                await _clear(self._store, len(self._done))
        return summary

    async def _note(self, head: Head | None) -> None:
        if self._store is not None:
            await self._store.note(RUNNING, None if head is None else _HEAD.dump_json(head).decode())


def _hash(name: Name) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=_HASH).digest()


async def _read(store: Store, count: int) -> list[bytes]:
    """The first `count` hashes; fewer when the store no longer has them."""
    packed = b""
    for number in range(-(-count // _CHUNK)):
        text = await store.noted(f"{RUNNING}-{number}")
        if text is None:
            break
        try:
            packed += base64.b85decode(text)
        except ValueError:
            break
    edges = range(0, min(len(packed) // _HASH, count) * _HASH + 1, _HASH)
    return [packed[start:end] for start, end in pairwise(edges)]


async def _clear(store: Store, done: int) -> None:
    # One more than counted: the last save may have been killed between a chunk and the head.
    for number in range(-(-done // _CHUNK) + 1):
        await store.note(f"{RUNNING}-{number}", None)
