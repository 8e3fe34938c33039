"""What reconcile asks of one site's registry: `extproc.registry.RegistryClient`, or a stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.client import Manifest, Resolved, TagDetail


class Site(Protocol):
    """Every question raises RegistryError where there is no usable answer. Each page of a listing is one request,
    sent when the page is asked for."""

    async def resolve(self, name: Name, reference: Tag | Digest) -> Resolved | None:
        """HEAD of a manifest; None for 404."""

    async def manifest(self, name: Name, digest: Digest) -> Manifest | None:
        """GET of a manifest; None for 404."""

    async def has_blob(self, name: Name, digest: Digest) -> bool:
        """HEAD of a blob."""

    def tags(self, name: Name) -> AsyncIterator[Sequence[Tag]]:
        """Raises NameUnknown."""

    def tag_details(self, name: Name) -> AsyncIterator[Sequence[TagDetail]]:
        """Raises NameUnknown, BulkUnsupported."""

    def catalog(self) -> AsyncIterator[Sequence[Name]]: ...

    def repositories_below(self, path: str) -> AsyncIterator[Sequence[Name]]:
        """Raises NameUnknown, BulkUnsupported."""
