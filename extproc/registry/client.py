"""What we ask one registry (OCI distribution spec 1.1; GitLab's registry API, docs/gitlab.md).

Every question raises RegistryError when there is no usable answer. Listings are asked page by page: one request
before each page that they yield, so that a caller can do something first, such as take a snapshot of the store.
Entries outside the grammar of names and tags are left out: no read of them is ever served from here.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type
from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag
from extproc.registry.error import BulkUnsupported, Misconfigured, NameUnknown, RegistryError
from extproc.registry.line import Answer, Line, codes_of
from extproc.registry.manifest import Manifest, ManifestInvalid, parse_manifest
from extproc.registry.pages import pages
from extproc.registry.token_source import Scopes

__all__ = ["Manifest", "RegistryClient", "Resolved", "TagDetail"]

_ACCEPT: Final = ", ".join(sorted(LEASED_MEDIA_TYPES))
_PAGE: Final = 1000
"""Entries of a page: the most that GitLab's registry gives, and distribution's catalog by default."""
_NO_BULK: Final = 600.0
"""Seconds that a registry without bulk listing is not asked for it again."""
_UNKNOWN: Final = frozenset({"NAME_UNKNOWN", "NOT_FOUND"})
"""Error codes for a name that is not there: the specification's, and Harbor's."""
_CATALOG: Final[Scopes] = ("registry:catalog:*",)

Kind = TypeVar("Kind", Name, Tag)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a registry answered to HEAD of a manifest."""

    digest: Digest
    media_type: str
    """Without parameters, lower case."""


@dataclass(frozen=True, slots=True)
class TagDetail:
    """One tag of a bulk listing."""

    tag: Tag
    digest: Digest
    media_type: str
    """Empty where the registry does not tell."""


class RegistryClient:
    """One registry. Holds no connection of its own: the session is the caller's to close."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._no_bulk_until = 0.0

    async def resolve(self, name: Name, reference: Tag | Digest) -> Resolved | None:
        """What `reference` stands for there, with every type accepted that a lease may carry. None for 404."""
        target = f"/v2/{name}/manifests/{reference}"
        answer = await self._line.ask("HEAD", target, scopes=_pull(name), accept=_ACCEPT)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._line.refused("HEAD", target, answer)
        try:
            digest = Digest(answer.headers.get("Docker-Content-Digest", ""))
        except ReferenceInvalid as error:
            raise self._line.unusable("HEAD", target, "it answered without a usable Docker-Content-Digest") from error
        if isinstance(reference, Digest) and digest != reference:
            raise self._line.unusable("HEAD", target, f"it answered with another digest, {digest}")
        return Resolved(digest, bare_media_type(answer.headers.get("Content-Type", "")))

    async def manifest(self, name: Name, digest: Digest) -> Manifest | None:
        """The manifest of that digest, its content verified. None for 404."""
        target = f"/v2/{name}/manifests/{digest}"
        answer = await self._line.ask("GET", target, scopes=_pull(name), accept=_ACCEPT)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._line.refused("GET", target, answer)
        try:
            return parse_manifest(digest, bare_media_type(answer.headers.get("Content-Type", "")), answer.body)
        except ManifestInvalid as error:
            raise self._line.unusable("GET", target, f"the manifest cannot be used: {error}") from error

    async def has_blob(self, name: Name, digest: Digest) -> bool:
        """Whether the registry serves it; a redirect to its storage counts, and is not followed."""
        target = f"/v2/{name}/blobs/{digest}"
        answer = await self._line.ask("HEAD", target, scopes=_pull(name))
        if answer.status in (200, 302, 307):
            return True
        if answer.status == 404:
            return False
        raise self._line.refused("HEAD", target, answer)

    async def tags(self, name: Name) -> AsyncIterator[Sequence[Tag]]:
        """All tags. Raises NameUnknown."""
        path = f"/v2/{name}/tags/list"
        async for answer in pages(self._line, path, f"n={_PAGE}", _pull(name)):
            if answer.status == 404:
                raise self._unknown(path, answer)
            yield _valid(Tag, self._listed(path, answer, "tags"))

    async def tag_details(self, name: Name) -> AsyncIterator[Sequence[TagDetail]]:
        """All tags with their digests, by GitLab's bulk listing. Raises BulkUnsupported, NameUnknown."""
        path = f"/gitlab/v1/repositories/{name}/tags/list/"
        if time.monotonic() < self._no_bulk_until:
            raise BulkUnsupported(f"{self._line.site} has no bulk listing")
        first = True
        async for answer in pages(self._line, path, f"n={_PAGE}", _pull(name)):
            if answer.status == 404 or (first and answer.status == 200 and not _is_array(answer)):
                await self._judge_missing_bulk(name, path, answer)
            first = False
            yield tuple(_details(self._entries(path, answer)))

    async def catalog(self) -> AsyncIterator[Sequence[Name]]:
        """All names; the account must be allowed to see them all."""
        path = "/v2/_catalog"
        hint = "set service_account to one that may list all names, on GitLab an administrator's"
        async for answer in _explained(pages(self._line, path, f"n={_PAGE}", _CATALOG), hint):
            yield _valid(Name, self._listed(path, answer, "repositories"))

    async def repositories_below(self, path: str) -> AsyncIterator[Sequence[Name]]:
        """The names at and below a group's or project's path that have tags, by GitLab's listing.

        It needs a token for `<path>/*`, which not every issuer gives (docs/gitlab.md). Raises BulkUnsupported where
        there is no such listing, NameUnknown where there is no such group.
        """
        try:
            base = Name(path.strip("/"))
        except ReferenceInvalid as error:
            raise RegistryError(f"{path[:300]!r} is not the path of a group or project") from error
        target = f"/gitlab/v1/repository-paths/{base}/repositories/list/"
        scopes = (*_pull(base), f"repository:{base}/*:pull")
        hint = f"it wants a token for {base}/*, which GitLab gives to no account: take the names from elsewhere"
        async for answer in _explained(pages(self._line, target, f"n={_PAGE}", scopes), hint):
            if answer.status == 404:
                if "NAME_UNKNOWN" in codes_of(answer.body):
                    raise self._unknown(target, answer)
                raise BulkUnsupported(f"{self._line.site} has no listing of repositories below a path", 404)
            entries = self._entries(target, answer)
            yield _valid(Name, [entry.get("path") for entry in entries])

    async def _judge_missing_bulk(self, name: Name, path: str, answer: Answer) -> None:
        """Is it the name that is missing, or the listing? Always raises."""
        if answer.status == 404:
            known = await self._line.ask("GET", f"/v2/{name}/tags/list?n=1", scopes=_pull(name))
            if known.status == 404:
                raise self._unknown(path, known)
            if known.status != 200:
                raise self._line.refused("GET", f"/v2/{name}/tags/list", known)
        self._no_bulk_until = time.monotonic() + _NO_BULK
        raise BulkUnsupported(f"{self._line.site} has no bulk listing", answer.status)

    def _unknown(self, path: str, answer: Answer) -> RegistryError:
        """For a 404. One that does not say so, such as a proxy's for a wrong host, tells nothing of the name: what is
        known of it must not be dropped for that."""
        refused = self._line.refused("GET", path, answer)
        return NameUnknown(str(refused), answer.status) if _UNKNOWN & set(codes_of(answer.body)) else refused

    def _document(self, path: str, answer: Answer) -> Any:
        if answer.status != 200:
            raise self._line.refused("GET", path, answer)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise self._line.unusable("GET", path, "its answer is not JSON") from error

    def _listed(self, path: str, answer: Answer, member: str) -> Sequence[Any]:
        document = self._document(path, answer)
        entries = document.get(member) if isinstance(document, dict) else ""
        if entries is None:  # distribution's empty list
            return ()
        if not isinstance(entries, list):
            raise self._line.unusable("GET", path, f"its answer has no list of {member}")
        return entries

    def _entries(self, path: str, answer: Answer) -> Sequence[dict[str, Any]]:
        document = self._document(path, answer)
        if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
            raise self._line.unusable("GET", path, "its answer is not a list of objects")
        return document


async def _explained(answers: AsyncIterator[Answer], hint: str) -> AsyncIterator[Answer]:
    """The same, and what to do about a 401 that does not say so itself."""
    try:
        async for answer in answers:
            yield answer
    except RegistryError as error:
        if error.status != 401 or isinstance(error, Misconfigured):
            raise
        raise RegistryError(f"{error}; {hint}", 401) from error


def _pull(name: Name) -> Scopes:
    return (f"repository:{name}:pull",)


def _is_array(answer: Answer) -> bool:
    """Other registries may answer any path, with a page for people."""
    return answer.body.lstrip().startswith(b"[")


def _valid(kind: Callable[[str], Kind], entries: Sequence[Any]) -> tuple[Kind, ...]:
    found = []
    for entry in entries:
        try:
            found.append(kind(entry if isinstance(entry, str) else ""))
        except ReferenceInvalid:
            continue
    return tuple(found)


def _details(entries: Sequence[dict[str, Any]]) -> Iterator[TagDetail]:
    for entry in entries:
        tag, digest, media_type = entry.get("name"), entry.get("digest"), entry.get("media_type")
        if not isinstance(tag, str) or not isinstance(digest, str):
            continue
        try:
            yield TagDetail(
                Tag(tag), Digest(digest), bare_media_type(media_type if isinstance(media_type, str) else "")
            )
        except ReferenceInvalid:
            continue
