"""The tags of one name, page by page: by GitLab's bulk listing where the registry has it, else by tags/list."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.reference import Digest, Name, Tag
from extproc.reconcile.site import Site
from extproc.registry.client import TagDetail
from extproc.registry.error import BulkUnsupported, NameUnknown


@dataclass(frozen=True, slots=True)
class Listed:
    """A tag of the primary."""

    tag: Tag
    digest: Digest | None = None
    """None where the listing does not tell it, or not enough for a lease: the tag is then asked for by HEAD."""
    media_type: str = ""

    @classmethod
    def of(cls, detail: TagDetail) -> Listed:
        # The media type decides who may be given the lease. A bulk listing without it is worth a tags/list.
        return cls(detail.tag, detail.digest, detail.media_type) if detail.media_type else cls(detail.tag)

    @property
    def leased(self) -> bool:
        return self.media_type in LEASED_MEDIA_TYPES


async def primary_pages(primary: Site, name: Name) -> AsyncGenerator[Sequence[Listed]]:
    """One request before each page. Raises RegistryError, NameUnknown among them."""
    try:
        async for details in primary.tag_details(name):
            yield [Listed.of(detail) for detail in details]
    except BulkUnsupported:
        async for tags in primary.tags(name):
            yield [Listed(tag) for tag in tags]


async def secondary_tags(secondary: Site, name: Name) -> dict[Tag, Digest | None]:
    """All tags; None for a digest that the listing does not tell. Empty where the name is unknown."""
    try:
        try:
            return {each.tag: each.digest async for page in secondary.tag_details(name) for each in page}
        except BulkUnsupported:
            return {tag: None async for page in secondary.tags(name) for tag in page}
    except NameUnknown:
        return {}
