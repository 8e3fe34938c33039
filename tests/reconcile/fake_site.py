"""A registry in memory, as `extproc.reconcile.site.Site`: what it holds and was asked, and a hook."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import islice

from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.client import Manifest, Resolved, TagDetail
from extproc.registry.error import BulkUnsupported, NameUnknown, RegistryError
from tests.support.heads import INDEX
from tests.support.registry_client import MANIFEST

Hook = Callable[[str], Awaitable[None]]


async def _nothing(question: str) -> None:
    # As on a network: others ask meanwhile.
    await asyncio.sleep(0)


def digest(text: str) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


class FakeSite:
    """Questions are words such as `resolve group/app v1`; `refused` maps the beginning of one to its error."""

    def __init__(self, *, bulk: bool = False, page: int = 1000) -> None:
        self.bulk = bulk
        self.page = page
        self.media_types_listed = True
        self.listed: dict[Name, dict[Tag, Digest]] = {}
        self.manifests: dict[tuple[Name, Digest], Manifest] = {}
        self.blobs: set[tuple[Name, Digest]] = set()
        self.asked: list[str] = []
        self.refused: dict[str, RegistryError] = {}
        self.before: Hook = _nothing

    def put(
        self,
        name: Name,
        content: str,
        *tags: str,
        media_type: str = MANIFEST,
        children: Iterable[Digest] = (),
        blobs: Iterable[Digest] = (),
    ) -> Digest:
        """A manifest, its digest made of `content`; without tags, by digest alone."""
        found = digest(content)
        children = tuple(children)
        self.manifests[name, found] = Manifest(found, INDEX if children else media_type, children, tuple(blobs))
        for tag in tags:
            self.listed.setdefault(name, {})[Tag(tag)] = found
        return found

    def questions(self, word: str) -> list[str]:
        return [question for question in self.asked if question.startswith(word)]

    async def _ask(self, *words: str) -> None:
        question = " ".join(words)
        self.asked.append(question)
        await self.before(question)
        for beginning, error in self.refused.items():
            if question.startswith(beginning):
                raise error

    async def resolve(self, name: Name, reference: Tag | Digest) -> Resolved | None:
        await self._ask("resolve", name, reference)
        named = reference if isinstance(reference, Digest) else self.listed.get(name, {}).get(reference)
        manifest = None if named is None else self.manifests.get((name, named))
        return None if manifest is None else Resolved(manifest.digest, manifest.media_type)

    async def manifest(self, name: Name, digest: Digest) -> Manifest | None:
        await self._ask("manifest", name, digest)
        return self.manifests.get((name, digest))

    async def has_blob(self, name: Name, digest: Digest) -> bool:
        await self._ask("blob", name, digest)
        return (name, digest) in self.blobs

    async def tags(self, name: Name) -> AsyncIterator[Sequence[Tag]]:
        start = 0
        while True:
            await self._ask("tags", name, str(start))
            if not self.listed.get(name):
                raise NameUnknown(f"{name} is not known", 404)
            page = list(islice(self.listed[name], start, start + self.page))
            more = len(self.listed[name]) > start + self.page
            yield page
            start += self.page
            if not more:
                return

    async def tag_details(self, name: Name) -> AsyncIterator[Sequence[TagDetail]]:
        if not self.bulk:
            raise BulkUnsupported("no bulk listing", 404)
        async for page in self.tags(name):
            details = []
            for tag in page:
                held = self.manifests.get((name, self.listed[name][tag]))
                told = MANIFEST if held is None else held.media_type
                details.append(TagDetail(tag, self.listed[name][tag], told if self.media_types_listed else ""))
            yield details

    async def catalog(self) -> AsyncIterator[Sequence[Name]]:
        await self._ask("catalog")
        yield list(self.listed)

    async def repositories_below(self, path: str) -> AsyncIterator[Sequence[Name]]:
        await self._ask("below", path)
        if not self.bulk:
            raise BulkUnsupported("no listing below a path", 404)
        found = [name for name in self.listed if name.startswith(path)]
        if not found:
            raise NameUnknown(f"{path} is not known", 404)
        yield found
