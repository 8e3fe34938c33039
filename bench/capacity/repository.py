"""One name: what its tags point to at the primary, and what of it the secondary has.

Everything of a push arrives at the secondary at once. What was there when the simulation begins is at both.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from bench.capacity.lag import lag
from bench.capacity.size import CONFIG, MANIFEST, layer_size
from bench.capacity.workload import Workload
from extproc.oci.reference import Digest, Name, Tag

LATEST = Tag("latest")


@dataclass(frozen=True)
class Image:
    """A manifest and what it names."""

    manifest: Digest
    config: Digest
    layers: tuple[Digest, ...]
    fresh: tuple[Digest, ...]
    """What came with it: its own layers, config and manifest."""


@dataclass(frozen=True)
class Push:
    """An image that a tag points to since."""

    tag: Tag
    image: Image
    arrives: float
    """When the secondary has it, in seconds of virtual time."""


class Repository:
    """`chance` decides on everything, so that a seed gives the same name again."""

    def __init__(self, name: Name, workload: Workload, chance: random.Random) -> None:
        self.name = name
        self._workload = workload
        self._chance = chance
        self._made = 0
        self._arrives: dict[Digest, float] = {}
        self._sizes: dict[Digest, int] = {}
        self._base = tuple(self._layer() for _ in range(workload.base_layers))
        self._order = list(tags_by_popularity(workload.tags))
        self._points: dict[Tag, Image] = {}
        self._images: dict[Digest, Image] = {}
        self._popularity = list(accumulate(rank**-workload.tag_zipf for rank in range(1, workload.tags + 1)))

    def digest_of(self, tag: Tag) -> Digest:
        """What the primary answers now."""
        return self._image_of(tag).manifest

    def image(self, manifest: Digest) -> Image:
        return self._images[manifest]

    def size(self, digest: Digest) -> int:
        """Bytes."""
        return self._sizes[digest]

    def secondary_has(self, digest: Digest, now: float) -> bool:
        return self._arrives.get(digest, -math.inf) <= now

    def some_tag(self) -> Tag:
        """By popularity."""
        return self._chance.choices(self._order, cum_weights=self._popularity)[0]

    def push(self, now: float) -> Push:
        """A new image at the primary."""
        tag = LATEST
        if self._chance.random() >= self._workload.latest:
            tag = Tag(f"v2.0.{self._made}")
            # The oldest goes; nobody asks for it any more.
            self._points.pop(self._order.pop(), None)
            self._order.insert(1, tag)
        image = self._points[tag] = self._new_image()
        arrives = now + lag(self._chance, self._workload)
        self._arrives.update(dict.fromkeys(image.fresh, arrives))
        return Push(tag, image, arrives)

    def _image_of(self, tag: Tag) -> Image:
        if tag not in self._points:
            self._points[tag] = self._new_image()
        return self._points[tag]

    def _new_image(self) -> Image:
        own = tuple(self._layer() for _ in range(self._workload.own_layers))
        config, manifest = self._digest(CONFIG), self._digest(MANIFEST)
        image = Image(manifest, config, self._base + own, (*own, config, manifest))
        self._images[manifest] = image
        return image

    def _layer(self) -> Digest:
        return self._digest(layer_size(self._chance))

    def _digest(self, size: int) -> Digest:
        self._made += 1
        digest = digest_of(self.name, self._made)
        self._sizes[digest] = size
        return digest


def digest_of(name: Name, number: int) -> Digest:
    return Digest("sha256:" + hashlib.sha256(f"{name} {number}".encode()).hexdigest())


def name_of(rank: int) -> Name:
    """Of the length that names have: some 30 characters."""
    return Name(f"group-{rank % 97:02}/project-{rank // 97:05}/app-{rank:07}")


def tags_by_popularity(count: int) -> Sequence[Tag]:
    """As a name has them at first."""
    return [LATEST, *(Tag(f"v1.0.r{number}") for number in range(1, count))]
