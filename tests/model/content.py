"""The small world that the model is about: two names, two tags, four manifests, one layer, four clients. One of the
manifests is also a blob, where somebody pushed it as one.

Small on purpose: with few things every pair of them meets often.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from extproc.auth.grant import Access, Grant
from extproc.oci.reference import Digest, Name, Tag

DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"

APP: Final = Name("group/app")
MOVED: Final = Name("group/moved")
NAMES: Final = (APP, MOVED)
V1: Final = Tag("v1")
V2: Final = Tag("v2")
TAGS: Final = (V1, V2)


@dataclass(frozen=True, slots=True)
class Manifest:
    digest: Digest
    media_type: str
    child: Digest | None = None
    """Of an index: the one for the platform that old clients are given."""


def _digest(digit: str) -> Digest:
    return Digest("sha256:" + digit * 64)


ONE: Final = Manifest(_digest("1"), OCI_MANIFEST)
TWO: Final = Manifest(_digest("2"), DOCKER_MANIFEST)
CHILD: Final = Manifest(_digest("c"), DOCKER_MANIFEST)
INDEX: Final = Manifest(_digest("a"), DOCKER_LIST, child=CHILD.digest)
MANIFESTS: Final = {each.digest: each for each in (ONE, TWO, CHILD, INDEX)}
LAYER: Final = _digest("b")
"""A blob. A push uploads it where it is missing."""
DIGESTS: Final = (*MANIFESTS, LAYER)


@dataclass(frozen=True, slots=True)
class AsBlob:
    """A manifest's bytes, pushed as a blob of the same name: under the blob's path, and there whatever becomes of the
    manifest."""

    digest: Digest


ONE_AS_BLOB: Final = AsBlob(ONE.digest)


def digest_of(held: Digest | AsBlob) -> Digest:
    return held.digest if isinstance(held, AsBlob) else held


def media_type_of(held: Digest | AsBlob) -> str:
    """As notifications tell it."""
    return "application/octet-stream" if isinstance(held, AsBlob) or held == LAYER else MANIFESTS[held].media_type


def called(what: str | AsBlob | None) -> str:
    """Short, for stories."""
    if isinstance(what, AsBlob):
        return f"{called(what.digest)} as a blob"
    return NICKNAMES.get(what or "", str(what))


NICKNAMES: Final = {
    "": "nothing",
    ONE.digest: "ONE",
    TWO.digest: "TWO",
    CHILD.digest: "CHILD",
    INDEX.digest: "INDEX",
    LAYER: "LAYER",
}


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends requests, with which rights and which `Accept`."""

    name: str
    accept: tuple[str, ...]
    actions: frozenset[str]

    @property
    def grant(self) -> Grant:
        return _grant(self.actions)


@cache
def _grant(actions: frozenset[str]) -> Grant:
    return Grant(frozenset(Access("repository", name, action) for name in NAMES for action in actions), 1e12)


_MODERN: Final = (", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)),)

READER: Final = Client("reader", _MODERN, frozenset({"pull"}))
OLD_READER: Final = Client("old reader", (f"{DOCKER_MANIFEST},{OCI_MANIFEST}",), frozenset({"pull"}))
"""Knows no index: for a tag on one, a registry gives it the child."""
PUSHER: Final = Client("pusher", _MODERN, frozenset({"pull", "push", "delete"}))
STRANGER: Final = Client("stranger", _MODERN, frozenset())
"""A valid token without rights here."""
CLIENTS: Final = {each.name: each for each in (READER, OLD_READER, PUSHER, STRANGER)}
