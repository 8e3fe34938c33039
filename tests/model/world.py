"""Two registries, as plainly as they can be said: what each holds and answers, and what the primary ever held.

Rules (distribution 2.8, `registry/handlers/manifests.go`; facts 3 and 15 of the design)
1. A tag names a digest of the same name. Deleting a digest takes all tags that name it; deleting a tag, just that.
2. By tag, a Docker manifest list is answered only to an `Accept` that lists its type; others get the child for the
   default platform, with the child's digest.
3. An OCI manifest is answered only to an `Accept` that lists its type; else 404, by tag and by digest.
4. A digest is answered with its own bytes or not at all.
5. Manifests and blobs are apart, also where both have one digest: a delete of one leaves the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from extproc.oci.reference import Digest, Name, Tag
from tests.model.content import (
    DIGESTS,
    DOCKER_LIST,
    LAYER,
    MANIFESTS,
    NAMES,
    OCI_INDEX,
    OCI_MANIFEST,
    ONE_AS_BLOB,
    AsBlob,
)

Held = Digest | AsBlob
Reference = Tag | Held
_BLOB = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry gives for a read."""

    status: int
    digest: Digest | None = None
    media_type: str = ""


NOT_FOUND = Answer(404)
NO_ANSWER = Answer(0)


@lru_cache
def _listed(accept: tuple[str, ...]) -> frozenset[str]:
    """As distribution reads it: every element counts, whatever its weight."""
    return frozenset(element.partition(";")[0].strip() for line in accept for element in line.split(","))


@dataclass(frozen=True, slots=True)
class Repository:
    """One name's content at one registry."""

    tags: Mapping[Tag, Digest] = field(default_factory=dict)
    digests: frozenset[Held] = frozenset()

    def read(self, reference: Reference, accept: tuple[str, ...]) -> Answer:
        by_tag = isinstance(reference, Tag)
        digest = self.tags.get(reference) if isinstance(reference, Tag) else reference
        if digest is None or digest not in self.digests:
            return NOT_FOUND
        if isinstance(digest, AsBlob):
            return Answer(200, digest.digest, _BLOB)
        if digest == LAYER:
            return Answer(200, digest, _BLOB)
        manifest, listed = MANIFESTS[digest], _listed(accept)
        if manifest.media_type in {OCI_MANIFEST, OCI_INDEX} and manifest.media_type not in listed:
            return NOT_FOUND
        if by_tag and manifest.media_type == DOCKER_LIST and DOCKER_LIST not in listed:
            return self.read(manifest.child, accept) if manifest.child else NOT_FOUND
        return Answer(200, digest, manifest.media_type)

    def with_manifest(self, digest: Digest, tag: Tag | None = None) -> Repository:
        """Pushed with all that it refers to, as a registry demands."""
        child = MANIFESTS[digest].child
        new = {digest, LAYER} | ({child} if child else set())
        return Repository({**self.tags, tag: digest} if tag else self.tags, self.digests | new)

    def with_blob(self, blob: AsBlob) -> Repository:
        return replace(self, digests=self.digests | {blob})

    def without(self, reference: Reference) -> Repository:
        if isinstance(reference, Tag):
            return replace(self, tags={tag: digest for tag, digest in self.tags.items() if tag != reference})
        kept = {tag: digest for tag, digest in self.tags.items() if digest != reference}
        return Repository(kept, self.digests - {reference})


EMPTY = Repository()
Content = Mapping[Name, Repository]


@dataclass(frozen=True, slots=True)
class Version:
    """The primary's content from one instant on, until the next version's."""

    turn: int
    time: float
    content: Content

    def read(self, name: Name, reference: Reference, accept: tuple[str, ...]) -> Answer:
        return self.content[name].read(reference, accept)

    def has(self, name: Name, digest: Held) -> bool:
        return digest in self.content[name].digests


class Primary:
    """With its whole history: promises are about what it was, not only what it is."""

    def __init__(self) -> None:
        self.versions = [Version(0, float("-inf"), dict.fromkeys(NAMES, EMPTY))]

    @property
    def now(self) -> Version:
        return self.versions[-1]

    def become(self, turn: int, time: float, changed: Content) -> int:
        """The number of the new version."""
        self.versions.append(Version(turn, time, {**self.now.content, **changed}))
        return len(self.versions) - 1

    def during(self, since: int, until: int) -> list[Version]:
        """All versions that held at some turn from `since` to `until`."""
        ends = [later.turn for later in self.versions[1:]] + [until + 1]
        return [each for each, end in zip(self.versions, ends, strict=True) if each.turn <= until and end > since]

    def within(self, since: float, until: int) -> list[Version]:
        """All versions that held at some instant from the time `since` on, up to the turn `until`."""
        ends = [later.time for later in self.versions[1:]] + [float("inf")]
        return [each for each, end in zip(self.versions, ends, strict=True) if end >= since and each.turn <= until]

    def ever(self, name: Name) -> list[Held]:
        """What a replication job, however late, may still bring."""
        held = {digest for version in self.versions for digest in version.content[name].digests}
        return [digest for digest in (*DIGESTS, ONE_AS_BLOB) if digest in held]

    def ever_tagged(self, name: Name) -> list[tuple[Tag, Digest]]:
        named = {pair for version in self.versions for pair in version.content[name].tags.items()}
        return sorted(named)


class Secondary:
    """Whatever replication made of it."""

    def __init__(self) -> None:
        self.content: dict[Name, Repository] = dict.fromkeys(NAMES, EMPTY)
        self.up = True

    def read(self, name: Name, reference: Reference, accept: tuple[str, ...]) -> Answer:
        return self.content[name].read(reference, accept) if self.up else Answer(503)

    def copy(self, name: Name, digest: Held, tag: Tag | None = None) -> None:
        """One job, done: this manifest or layer alone, for jobs also leave things out."""
        held = self.content[name]
        tags = {**held.tags, tag: digest} if tag and isinstance(digest, str) else held.tags
        self.content[name] = Repository(tags, held.digests | {digest})

    def lose(self, name: Name, reference: Reference) -> None:
        self.content[name] = self.content[name].without(reference)
