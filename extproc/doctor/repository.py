"""A name, and a blob of it, to ask about: given, listed, or known to the store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from extproc.build import build_store
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Peer
from extproc.doctor.redis_servers import OWN_NAME
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name
from extproc.registry.client import RegistryClient
from extproc.registry.error import RegistryError
from extproc.settings import SettingsError

_NAMES: Final = 10
"""Looked at for a blob: the first may be empty."""
_TAGS: Final = 3


async def some_name(at: Installation) -> Name | None:
    """The first there is."""
    async with aclosing(_names(at, at.primary)) as names:
        return await anext(names, None)


async def some_blob(at: Installation, peer: Peer) -> tuple[Name, Digest] | None:
    """A blob that this registry should have. Raises RegistryError where it cannot be asked."""
    client = await at.client(peer)
    failed: RegistryError | None = None
    looked_at = 0
    async with aclosing(_names(at, peer)) as names:
        async for name in names:
            looked_at += 1
            try:
                blob = await _blob_of(client, name)
            except RegistryError as error:
                failed = error
                blob = None
            if blob is not None:
                return name, blob
            if looked_at == _NAMES:
                break
    if failed is not None:
        raise failed
    return None


async def _blob_of(client: RegistryClient, name: Name) -> Digest | None:
    async for page in client.tags(name):
        for tag in page[:_TAGS]:
            resolved = await client.resolve(name, tag)
            manifest = None if resolved is None else await client.manifest(name, resolved.digest)
            if manifest is not None and manifest.children:
                manifest = await client.manifest(name, manifest.children[0])
            if manifest is not None and manifest.blobs:
                return manifest.blobs[0]
        break
    return None


async def _names(at: Installation, peer: Peer) -> AsyncGenerator[Name, None]:
    """A site's catalog is for administrators; what the store holds is known without."""
    if at.wishes.repository is not None:
        yield at.wishes.repository
        return
    with suppress(RegistryError):
        async for page in (await at.client(peer)).catalog():
            for name in page:
                yield name
    if at.settings.store.url == "memory://":
        return
    with suppress(StoreUnavailable, SettingsError):
        store = build_store(at.settings)
        try:
            async for held in store.pages():
                for name in held:
                    if name != OWN_NAME:
                        yield name
        finally:
            await store.close()
