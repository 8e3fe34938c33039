"""One name at both sites: what the primary's tags are at the secondary, and the evidence that this gives.

Rules (docs/evidence.md)
1. The snapshot comes before the primary is asked: a lease is as old as the snapshot it was learned under.
2. What was seen is kept by operation 4 alone. If the name changed meanwhile, the step is done once more under a fresh
   snapshot; if it changed again, or a write was under way or not yet told to the store (`blocks`), nothing of the
   step is kept and the name is `busy`.
3. The primary's own 200 to a HEAD of a manifest proves that it has it (`primary_has`); a listing does not. It proves
   nothing of a blob of the same digest, nor the other way.
4. First learn, then drop: to drop a lease changes the name's epoch. Dropped is only what a question of its own
   found untrue, and never for an answer that was refused.
5. Absence is not kept: `absent` counts for seconds, and what was present is forgotten by operation 6.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Final

from extproc.evidence.model import ContentKind, DigestState, Invalidation, Observation, Record
from extproc.evidence.store import Store
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.listing import Listed, primary_pages, secondary_tags
from extproc.reconcile.presence import Held, Looks, Presence
from extproc.reconcile.site import Site
from extproc.reconcile.summary import MOST_EXAMPLES, Counts
from extproc.registry.error import NameUnknown, RegistryError

STEP: Final = 16
"""Tags compared at once, under one snapshot."""
_MOST_PROOFS: Final = 16
"""Digests that the primary is asked for before a name without tags is taken for gone."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """One tag. `digest` is None where the primary does not have it after all."""

    listed: Listed
    digest: Digest | None
    media_type: str
    finding: str
    held: Held


class Comparison:
    """Of one name, once. `on_tags` is called with the number of tags after each step."""

    def __init__(
        self,
        name: Name,
        store: Store,
        primary: Site,
        secondary: Site,
        *,
        blobs: bool,
        on_tags: Callable[[int], None] = lambda tags: None,
        blocks: Callable[[Name], bool] = lambda name: False,
    ) -> None:
        """`blocks`: whether this process keeps an invalidation of the name that the store has not taken."""
        self._name = name
        self._store = store
        self._primary = primary
        self._secondary = secondary
        self._blobs = blobs
        self._on_tags = on_tags
        self._blocks = blocks
        self._presence = Presence(name, secondary, blobs=blobs)
        self._counter: Counter[str] = Counter()
        self._examples: defaultdict[str, list[str]] = defaultdict(list)
        self._error = ""
        self._busy = False
        self._record = Record(name)
        self._unseen_leases: set[Tag] = set()
        """Held when we began, and not yet found true."""
        self._theirs: dict[Tag, Digest | None] = {}
        """The secondary's tags, those not yet compared; None where its listing tells no digest."""

    async def run(self) -> Counts:
        """Raises RegistryError when the name's tags cannot be read, and StoreUnavailable."""
        self._record = await self._store.inspect(self._name)
        self._unseen_leases = set(self._record.leases)
        self._theirs = await secondary_tags(self._secondary, self._name)
        if self._theirs or self._record != Record(self._name) or await self._primary_knows():
            await self._compare_all()
            await self._drop_leases()
            self._counter["extra"] += len(self._theirs)
            self._examples["extra"] += [f"{self._name}:{tag}" for tag in islice(self._theirs, MOST_EXAMPLES)]
        else:
            self._counter["gone"] += 1
        return self._counts()

    async def _primary_knows(self) -> bool:
        """Asked without a snapshot, which would make the store keep a name that may be a mistyped one."""
        try:
            async with aclosing(primary_pages(self._primary, self._name)) as pages:
                await anext(pages, None)
        except NameUnknown:
            return False
        return True

    async def _compare_all(self) -> None:
        pages = primary_pages(self._primary, self._name)
        while True:
            blocked = self._blocks(self._name)
            begun = await self._store.decide(self._name, _ANY_TAG)
            try:
                page = await anext(pages, None)
            except NameUnknown:
                await self._drop_name()
                return
            if page is None:
                return
            leases = [_lease(each.tag, each.digest, each.media_type) for each in page if each.digest and each.leased]
            marked = begun.marked or blocked or self._blocks(self._name)
            kept = not marked and await self._store.learn_all(self._name, begun.snapshot, leases)
            if kept:
                self._counter["leases"] += len(leases)
            for at in range(0, len(page), STEP):
                step = page[at : at + STEP]
                # Not kept because the name changed: ask for each tag by itself, once more.
                await self._step(step if kept or marked else [Listed(each.tag) for each in step])
            self._busy |= marked

    async def _step(self, step: Sequence[Listed]) -> None:
        for last in (False, True):
            blocked = self._blocks(self._name)
            begun = await self._store.decide(self._name, step[0].tag)
            looks = Looks()
            compared, error = await self._compare(step, looks)
            seen = [] if begun.marked else await self._observations(compared, looks)
            marked = begun.marked or blocked or self._blocks(self._name)
            kept = not marked and await self._store.learn_all(self._name, begun.snapshot, seen)
            if kept:
                self._counter["leases"] += sum(each.tag is not None for each in seen)
                self._counter["present"] += len(looks.present)
            if kept or marked or last:
                self._busy |= not kept
                self._error = self._error or error
                self._presence.keep(looks)
                await self._forget(looks)
                self._count(step, compared)
                return

    async def _compare(self, step: Sequence[Listed], looks: Looks) -> tuple[list[_Compared], str]:
        """What could be compared, and why the rest could not. Raises RegistryError when nothing could: then what
        comes next cannot be either."""
        answers = await asyncio.gather(*(self._compare_tag(each, looks) for each in step), return_exceptions=True)
        compared = [answer for answer in answers if isinstance(answer, _Compared)]
        error = ""
        for answer in answers:
            if isinstance(answer, BaseException):
                if not compared or not isinstance(answer, RegistryError):
                    raise answer
                error = error or str(answer)
        return compared, error

    async def _compare_tag(self, listed: Listed, looks: Looks) -> _Compared:
        tag, digest, media_type = listed.tag, listed.digest, listed.media_type
        if digest is None:
            resolved = await self._primary.resolve(self._name, tag)
            if resolved is None:
                return _Compared(listed, None, "", "", Held.NOT)
            digest, media_type = resolved.digest, resolved.media_type
        there = tag in self._theirs
        theirs, served = self._theirs.get(tag), False
        if there and theirs is None:
            answered = await self._secondary.resolve(self._name, tag)
            there = answered is not None
            if answered is not None:
                theirs, served = answered.digest, answered.digest == digest
        held = await self._presence.look(digest, media_type, looks, served=served)
        finding = "missing" if not there else "same" if theirs == digest else "behind"
        return _Compared(listed, digest, media_type, finding, held)

    async def _observations(self, compared: Iterable[_Compared], looks: Looks) -> list[Observation]:
        """First what the primary answered, for it lifts tombstones; then what the secondary has."""
        seen: list[Observation] = []
        wanted = {(digest, ContentKind.MANIFEST) for digest in looks.manifests}
        wanted |= {(digest, ContentKind.BLOB) for digest in looks.blobs}
        for each in compared:
            if each.digest is not None and each.listed.digest is None:
                wanted.discard((each.digest, ContentKind.MANIFEST))
                leased = each.media_type in LEASED_MEDIA_TYPES
                seen.append(_lease(each.listed.tag if leased else None, each.digest, each.media_type, proven=True))
        seen += [
            Observation(digest, primary_has=True, kind=kind)
            for digest, kind in wanted
            if self._deleted(digest, kind) and await self._primary_has(digest, kind)
        ]
        seen += [Observation(digest, secondary=DigestState.PRESENT) for digest in looks.present]
        return seen

    def _deleted(self, digest: Digest, kind: ContentKind) -> bool:
        known = self._record.digests.get(digest)
        return self._record.dropped if known is None else known.state_as(kind) is DigestState.DELETED

    async def _primary_has(self, digest: Digest, kind: ContentKind) -> bool:
        if kind is ContentKind.BLOB:
            return await self._primary.has_blob(self._name, digest)
        return await self._primary.resolve(self._name, digest) is not None

    async def _forget(self, looks: Looks) -> None:
        """What was held present and is not there (any more)."""
        for digest in looks.lacking:
            known = self._record.digests.get(digest)
            if known is not None and known.state is DigestState.PRESENT:
                await self._store.secondary_lost(self._name, digest)
                self._counter["dropped"] += 1

    def _count(self, step: Sequence[Listed], compared: Sequence[_Compared]) -> None:
        unread = {each.tag for each in step} - {each.listed.tag for each in compared}
        for each in compared:
            # None: deleted since it was listed. What the secondary has of it is extra, what we hold of it untrue.
            if each.digest is not None:
                self._count_tag(each.listed.tag, each.digest, each)
        for tag in unread:
            self._theirs.pop(tag, None)
            self._unseen_leases.discard(tag)
        self._counter["tags"] += len(unread)
        self._counter["unread"] += len(unread)
        self._on_tags(len(step))

    def _count_tag(self, tag: Tag, digest: Digest, compared: _Compared) -> None:
        self._theirs.pop(tag, None)
        held = self._record.leases.get(tag)
        if compared.media_type in LEASED_MEDIA_TYPES or (held is not None and held.digest == digest):
            self._unseen_leases.discard(tag)
        self._counter["tags"] += 1
        self._counter[compared.finding] += 1
        self._counter["incomplete"] += compared.held is Held.PARTLY
        self._example(compared.finding, tag)
        if compared.held is Held.PARTLY:
            self._example("incomplete", tag)

    def _example(self, of: str, tag: Tag) -> None:
        if len(self._examples[of]) < MOST_EXAMPLES:
            self._examples[of].append(f"{self._name}:{tag}")

    async def _drop_leases(self) -> None:
        """Leases of tags that the primary did not list, or lists as something that no lease may name."""
        for tag in self._unseen_leases:
            resolved = await self._primary.resolve(self._name, tag)
            if resolved is None or resolved.digest != self._record.leases[tag].digest:
                await self._store.primary_changed(self._name, Invalidation(tag=tag))
                self._counter["dropped"] += 1

    async def _drop_name(self) -> None:
        """The primary says that it has no such name, or none with tags: distribution gives one answer for both."""
        held = [lease.digest for lease in self._record.leases.values()]
        held += [digest for digest, known in self._record.digests.items() if known.state is DigestState.PRESENT]
        for digest in list(dict.fromkeys(held))[:_MOST_PROOFS]:
            if await self._primary.resolve(self._name, digest) is not None:
                return
        self._counter["gone"] += 1
        if held:
            await self._store.primary_dropped(self._name)
            self._counter["dropped"] += 1
            self._unseen_leases.clear()

    def _counts(self) -> Counts:
        return Counts(
            names=1,
            busy=int(self._busy),
            errors=int(bool(self._error)),
            missing_examples=tuple(self._examples["missing"]),
            behind_examples=tuple(self._examples["behind"]),
            incomplete_examples=tuple(self._examples["incomplete"]),
            extra_examples=tuple(self._examples["extra"]),
            busy_examples=(self._name,) if self._busy else (),
            gone_examples=(self._name,) if self._counter["gone"] else (),
            error_examples=(f"{self._name}: {self._error}",) if self._error else (),
            **self._counter,
        )


_ANY_TAG: Final = Tag("latest")


def _lease(tag: Tag | None, digest: Digest, media_type: str, *, proven: bool = False) -> Observation:
    return Observation(digest, tag=tag, media_type=media_type if tag else "", primary_has=proven)
