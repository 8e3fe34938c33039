"""What the secondary has of one name, by digest. Each digest is asked for once in a run.

Rules
1. An index is there only with all its children: a client that got the index here comes back for them.
2. With `blobs`, a manifest is there only with its config and layers. Without, a 200 for the manifest is enough:
   a blob that lacks falls back by itself.
3. A digest that an earlier step found is not found again by a later one: what is kept belongs to the snapshot that
   was taken before it was looked for.
4. Indexes within indexes are followed so deep and no deeper: whoever may push can nest them without end.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from extproc.oci.media_type import INDEX_TYPES
from extproc.oci.reference import Digest, Name
from extproc.reconcile.site import Site

_DEEPEST: Final = 8
"""Levels of indexes within indexes; real ones have one, or two."""


class Held(Enum):
    """How much of a manifest the secondary has."""

    WHOLE = "whole"
    PARTLY = "partly"
    """The manifest, but not all that it refers to."""
    NOT = "not"


@dataclass(slots=True)
class Looks:
    """What one step looked for, and found: taken into the memory of the name when its evidence is kept."""

    manifests: dict[Digest, Held] = field(default_factory=dict)
    blobs: dict[Digest, bool] = field(default_factory=dict)
    turns: defaultdict[Digest, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Tags of one digest are compared at once, and it is looked for once."""

    @property
    def present(self) -> list[Digest]:
        """Blobs and children before those that refer to them."""
        blobs = [digest for digest, there in self.blobs.items() if there]
        return blobs + [digest for digest, held in self.manifests.items() if held is Held.WHOLE]

    @property
    def lacking(self) -> list[Digest]:
        blobs = [digest for digest, there in self.blobs.items() if not there]
        return blobs + [digest for digest, held in self.manifests.items() if held is not Held.WHOLE]


class Presence:
    """The secondary's digests of one name."""

    def __init__(self, name: Name, secondary: Site, *, blobs: bool) -> None:
        self._name = name
        self._secondary = secondary
        self._with_blobs = blobs
        self._known = Looks()

    def keep(self, looks: Looks) -> None:
        """Do not look for these again."""
        self._known.manifests |= looks.manifests
        self._known.blobs |= looks.blobs

    async def look(
        self, digest: Digest, media_type: str, looks: Looks, *, served: bool = False, depth: int = 0
    ) -> Held:
        """`served`: the secondary has just answered 200 with this digest; `media_type`: what is known of it, or "".

        Raises RegistryError.
        """
        # Content refers to content by digest: there is no circle in which two could wait for each other.
        async with looks.turns[digest]:
            held = self._known.manifests.get(digest) or looks.manifests.get(digest)
            if held is None:
                held = looks.manifests[digest] = await self._look(digest, media_type, looks, served, depth)
            return held

    async def _look(self, digest: Digest, media_type: str, looks: Looks, served: bool, depth: int) -> Held:
        if not self._with_blobs and media_type not in INDEX_TYPES:
            if not served:
                resolved = await self._secondary.resolve(self._name, digest)
                if resolved is None:
                    return Held.NOT
                media_type = resolved.media_type
            if media_type not in INDEX_TYPES:
                return Held.WHOLE
        manifest = await self._secondary.manifest(self._name, digest)
        if manifest is None:
            return Held.NOT
        if manifest.children and depth == _DEEPEST:
            return Held.PARTLY
        whole = True
        for child in manifest.children:
            whole &= await self.look(child, "", looks, depth=depth + 1) is Held.WHOLE
        if self._with_blobs:
            for blob in manifest.blobs:
                whole &= await self._has(blob, looks)
        return Held.WHOLE if whole else Held.PARTLY

    async def _has(self, blob: Digest, looks: Looks) -> bool:
        async with looks.turns[blob]:
            there = self._known.blobs.get(blob, looks.blobs.get(blob))
            if there is None:
                there = looks.blobs[blob] = await self._secondary.has_blob(self._name, blob)
            return there
