"""What GitLab's container registry holds, in memory. A part of the stand-in in gitlab_registry.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from extproc.oci.reference import Digest

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class Refused(Exception):
    """The registry's answer is an error of the distribution spec's form."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as it was pushed."""

    digest: Digest
    media_type: str
    content: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.content)
        return document

    @property
    def references(self) -> list[dict[str, Any]]:
        """Descriptors of config and layers, or of an index's manifests."""
        document = self.document
        config = [document["config"]] if "config" in document else []
        return [*config, *document.get("layers", []), *document.get("manifests", [])]

    @property
    def subject(self) -> str:
        return str(self.document.get("subject", {}).get("digest", ""))


@dataclass(slots=True)
class Repository:
    """One name."""

    manifests: dict[str, Stored] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)

    def find(self, reference: str) -> Stored:
        stored = self.manifests.get(self.tags.get(reference, reference))
        if stored is None:
            raise Refused(404, "MANIFEST_UNKNOWN")
        return stored

    def referrers(self, digest: str) -> Iterator[Stored]:
        return (stored for stored in self.manifests.values() if stored.subject == digest)

    def holders(self, digest: str) -> Iterator[Stored]:
        """Indexes that list it."""
        for stored in self.manifests.values():
            if stored.media_type in INDEXES and any(entry["digest"] == digest for entry in stored.references):
                yield stored


@dataclass(slots=True)
class Content:
    """All names; blobs are kept once."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def repository(self, name: str) -> Repository:
        try:
            return self.repositories[name]
        except KeyError:
            raise Refused(404, "NAME_UNKNOWN") from None

    def add_blob(self, name: str, content: bytes) -> Digest:
        digest = digest_of(content)
        self.blobs[digest] = content
        self.repositories.setdefault(name, Repository()).blobs.add(digest)
        return digest

    def add_manifest(self, name: str, reference: str, media_type: str, content: bytes) -> Stored:
        """Its references, and its subject, must be there: GitLab's does not take a subject that it lacks."""
        stored = Stored(digest_of(content), media_type, content)
        if ":" in reference and reference != stored.digest:
            raise Refused(400, "DIGEST_INVALID")
        repository = self.repositories.setdefault(name, Repository())
        held = repository.manifests if media_type in INDEXES else repository.blobs
        if any(entry["digest"] not in held for entry in stored.references):
            raise Refused(400, "MANIFEST_BLOB_UNKNOWN")
        if stored.subject and stored.subject not in repository.manifests:
            raise Refused(400, "MANIFEST_BLOB_UNKNOWN")
        repository.manifests[stored.digest] = stored
        if ":" not in reference:
            repository.tags[reference] = stored.digest
        return stored

    def below(self, path: str) -> list[str]:
        """The names at and below a path, in order."""
        return sorted(name for name in self.repositories if name == path or name.startswith(f"{path}/"))

    def rename(self, path: str, new: str) -> None:
        for name in self.below(path):
            self.repositories[new + name.removeprefix(path)] = self.repositories.pop(name)


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
