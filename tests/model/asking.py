"""The two registries as our own processes ask them, for reconcile and renewals, with gates around each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.client import Resolved, TagDetail
from extproc.registry.error import BulkUnsupported, NameUnknown, RegistryError
from extproc.registry.manifest import Manifest
from tests.model.content import LAYER, MANIFESTS, READER
from tests.model.scheduler import Loop
from tests.model.world import Reference, Repository

if TYPE_CHECKING:
    from tests.model.site import Site


class Asked:
    """`extproc.reconcile.site.Site`, and renewal's `Primary`."""

    def __init__(self, site: Site, loop: Loop, which: str, *, bulk: bool = False) -> None:
        """`which`: primary or secondary. `bulk`: whether it has GitLab's listing."""
        self._site = site
        self._loop = loop
        self._which = which
        self._bulk = bulk

    async def resolve(self, name: Name, reference: Reference) -> Resolved | None:
        answer = (await self._held(name)).read(reference, READER.accept)
        return None if answer.digest is None else Resolved(answer.digest, answer.media_type)

    async def manifest(self, name: Name, digest: Digest) -> Manifest | None:
        if digest not in (await self._held(name)).digests:
            return None
        known = MANIFESTS[digest]
        children = (known.child,) if known.child else ()
        return Manifest(digest, known.media_type, children, () if children else (LAYER,))

    async def has_blob(self, name: Name, digest: Digest) -> bool:
        return digest in (await self._held(name)).digests

    async def tags(self, name: Name) -> AsyncIterator[Sequence[Tag]]:
        tags = sorted((await self._held(name)).tags)
        if not tags:
            raise NameUnknown(f"{name} is unknown to the {self._which}")
        yield tags

    async def tag_details(self, name: Name) -> AsyncIterator[Sequence[TagDetail]]:
        if not self._bulk:
            raise BulkUnsupported("another registry than GitLab's")
        held = await self._held(name)
        details = [
            TagDetail(tag, digest, MANIFESTS[digest].media_type)
            for tag, digest in sorted(held.tags.items())
            if digest in held.digests
        ]
        if not details:
            raise NameUnknown(f"{name} is unknown to the {self._which}")
        yield details

    async def catalog(self) -> AsyncIterator[Sequence[Name]]:
        raise AssertionError("names are given")
        yield ()

    async def repositories_below(self, path: str) -> AsyncIterator[Sequence[Name]]:
        raise AssertionError("names are given")
        yield ()

    async def _held(self, name: Name) -> Repository:
        """What it holds when the question arrives; the answer takes its time."""
        await self._loop.gate(f"before the {self._which}")
        self._site.tick(quiet=True)
        if self._which == "primary":
            held = self._site.primary.now.content[name]
        elif self._site.secondary.up:
            held = self._site.secondary.content[name]
        else:
            raise RegistryError("the secondary is down")
        await self._loop.gate(f"after the {self._which}")
        return held
