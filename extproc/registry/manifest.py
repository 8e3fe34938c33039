"""What a manifest needs to be complete (OCI image spec, "Image Manifest", "Image Index")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type
from extproc.oci.reference import Digest, ReferenceInvalid

_ELSEWHERE: Final = ("nondistributable", "foreign")
"""In the media types of layers that registries need not hold."""


class ManifestInvalid(ValueError):
    """The content is not the manifest that was asked for. The message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's content, as far as its presence depends on it."""

    digest: Digest
    media_type: str
    children: tuple[Digest, ...]
    """The manifests of an index."""
    blobs: tuple[Digest, ...]
    """Config and layers, without those that are kept elsewhere (`urls`, foreign layers); of an index its entries
    that are no manifests, as build caches have them."""


def parse_manifest(digest: Digest, media_type: str, content: bytes) -> Manifest:
    """`content` is checked against `digest`. Raises ManifestInvalid."""
    if hashlib.new(digest.algorithm, content).hexdigest() != digest.encoded:
        raise ManifestInvalid("its content has another digest")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid("it is not JSON") from error
    if not isinstance(document, dict):
        raise ManifestInvalid("it is not a JSON object")
    children: list[Digest] = []
    blobs: list[Digest] = []
    for entry in _entries(document, "manifests"):
        (children if _is_manifest(entry) else blobs).append(_digest(entry))
    if document.get("config") is not None:
        blobs.append(_digest(document["config"]))
    held = (*_entries(document, "layers"), *_entries(document, "blobs"))
    blobs.extend(_digest(entry) for entry in held if not _is_elsewhere(entry))
    return Manifest(digest, media_type, tuple(dict.fromkeys(children)), tuple(dict.fromkeys(blobs)))


def _entries(document: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    entries = document.get(name)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise ManifestInvalid(f"its {name} are not a list")
    for entry in entries:
        if not isinstance(entry, dict):
            raise ManifestInvalid(f"one of its {name} is not a descriptor")
        yield entry


def _is_manifest(entry: dict[str, Any]) -> bool:
    """BuildKit exports caches as an index of layers (GitLab's container-registry issue 407): those are blobs."""
    media_type = bare_media_type(str(entry.get("mediaType") or ""))
    return not media_type or media_type in LEASED_MEDIA_TYPES or ".manifest." in media_type or ".index." in media_type


def _is_elsewhere(entry: dict[str, Any]) -> bool:
    media_type = str(entry.get("mediaType") or "").lower()
    return bool(entry.get("urls")) or any(word in media_type for word in _ELSEWHERE)


def _digest(entry: Any) -> Digest:
    text = entry.get("digest") if isinstance(entry, dict) else None
    try:
        return Digest(text if isinstance(text, str) else "")
    except ReferenceInvalid as error:
        raise ManifestInvalid(f"one of its descriptors has no usable digest: {str(text)[:100]!r}") from error
