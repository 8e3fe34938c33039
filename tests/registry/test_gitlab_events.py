"""What GitLab's registry tells, over HTTP into a store: the stand-in, the admin endpoint, the ingest, one after the
other as they are wired in `serve`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from extproc.admin.notifications import NotificationEndpoint
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Evidence, Observation
from extproc.notification.event import Action, Site
from extproc.notification.ingest import Ingest, Outcome
from extproc.notification.secret import Secret
from extproc.oci.reference import Digest, Name, Tag
from extproc.registry.client import RegistryClient
from tests.registry.server import Server, open_client
from tests.support.clock import Clock
from tests.support.gitlab_registry import GitLabRegistry
from tests.support.registry_client import MANIFEST, digest_of

APP, SUB, APPLE, MOVED = Name("group/app"), Name("group/app/sub"), Name("group/apple"), Name("group/new/sub")
ONE, TWO = Tag("1"), Tag("2")


class Deaf:
    """A recorder, and nobody who counts refusals."""

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None: ...
    def delayed(self, site: Site, seconds: float) -> None: ...
    def arrived(self, seconds: float) -> None: ...

    def refused(self, site: Site, status: int) -> None:
        raise AssertionError(f"{site} was refused with {status}")


@dataclass
class Rig:
    """One registry of GitLab's, and the store that it tells."""

    registry: GitLabRegistry
    store: MemoryStore
    client: RegistryClient

    async def lease(self, name: Name, tag: Tag) -> Digest:
        """As reconcile and renewal do: the store's snapshot before the question."""
        before = await self.store.decide(name, tag)
        resolved = await self.client.resolve(name, tag)
        assert resolved is not None
        seen = Observation(
            resolved.digest,
            tag=tag,
            media_type=resolved.media_type,
            secondary=DigestState.PRESENT,
            primary_has=True,
        )
        assert await self.store.learn(name, before.snapshot, seen)
        return resolved.digest

    async def evidence(self, name: Name, reference: Tag | Digest) -> Evidence:
        return await self.store.decide(name, reference)


@asynccontextmanager
async def telling(site: Site = Site.PRIMARY, *, database: bool = True) -> AsyncIterator[Rig]:
    store, deaf = MemoryStore(absent_ttl=5, clock=Clock()), Deaf()
    endpoint = NotificationEndpoint(
        Ingest(store, deaf), secret=Secret((b"s3cret-s3cret",)), max_body=1_000_000, refusals=deaf
    )
    answer = endpoint.primary if site is Site.PRIMARY else endpoint.secondary
    async with (
        Server(answer) as admin,
        GitLabRegistry(database=database, notify=admin.url, authorization="Bearer s3cret-s3cret") as registry,
        open_client(registry.url) as client,
    ):
        yield Rig(registry, store, client)
        await registry.told()
        assert registry.notifier.dropped == []


async def test_a_push_drops_the_lease_of_its_tag_and_of_no_other() -> None:
    async with telling() as rig:
        rig.registry.push(APP, ONE, "old")
        rig.registry.push(APP, TWO, "old")
        await rig.registry.told()
        await rig.lease(APP, ONE)
        await rig.lease(APP, TWO)
        rig.registry.push(APP, ONE, "new")
        await rig.registry.told()
        assert (await rig.evidence(APP, ONE)).lease is None
        assert (await rig.evidence(APP, TWO)).lease is not None


async def test_a_tags_delete_drops_its_lease_and_leaves_the_digest() -> None:
    async with telling() as rig:
        rig.registry.push(APP, ONE, "x")
        digest = rig.registry.push(APP, TWO, "x")
        await rig.registry.told()
        await rig.lease(APP, ONE)
        await rig.lease(APP, TWO)
        rig.registry.delete(APP, ONE)
        await rig.registry.told()
        assert (await rig.evidence(APP, ONE)).lease is None
        assert (await rig.evidence(APP, TWO)).lease is not None
        assert (await rig.evidence(APP, digest)).digest is DigestState.PRESENT


@pytest.mark.parametrize("database", [True, False], ids=["with the database", "without"])
async def test_a_digests_delete_drops_its_tags_told_or_not_and_only_the_primary_lifts_its_tombstone(
    database: bool,
) -> None:
    async with telling(database=database) as rig:
        for tag in (ONE, TWO):
            digest = rig.registry.push(APP, tag, "x")
        await rig.registry.told()
        await rig.lease(APP, ONE)
        await rig.lease(APP, TWO)
        rig.registry.delete(APP, digest)
        await rig.registry.told()
        for tag in (ONE, TWO):
            assert (await rig.evidence(APP, tag)).lease is None
        assert (await rig.evidence(APP, digest)).digest is DigestState.DELETED
        assert rig.registry.push(APP, ONE, "x") == digest, "the same content again"
        await rig.registry.told()
        assert (await rig.evidence(APP, digest)).digest is DigestState.DELETED
        await rig.lease(APP, ONE)
        assert (await rig.evidence(APP, digest)).digest is DigestState.PRESENT


async def test_a_rename_takes_all_names_below_with_it_and_none_beside_it() -> None:
    async with telling() as rig:
        digests = {name: rig.registry.push(name, ONE, name) for name in (APP, SUB, APPLE)}
        await rig.registry.told()
        for name in digests:
            await rig.lease(name, ONE)
        rig.registry.rename(APP, name="new")
        await rig.registry.told()
        for name in (APP, SUB):
            assert (await rig.evidence(name, ONE)).lease is None
            assert (await rig.evidence(name, digests[name])).digest is DigestState.DELETED
        assert (await rig.evidence(APPLE, ONE)).lease is not None
        assert await rig.lease(MOVED, ONE) == digests[SUB]
        assert (await rig.evidence(MOVED, digests[SUB])).digest is DigestState.PRESENT


async def test_the_secondarys_push_makes_an_image_present_with_its_blobs() -> None:
    async with telling(Site.SECONDARY) as rig:
        digest = rig.registry.push(APP, ONE, "x", b"layer")
        await rig.registry.told()
        for each in (digest, digest_of(b"{}"), digest_of(b"layer")):
            assert (await rig.evidence(APP, each)).digest is DigestState.PRESENT
        rig.registry.delete(APP, digest)
        await rig.registry.told()
        assert (await rig.evidence(APP, digest)).digest is not DigestState.PRESENT


async def test_the_secondarys_index_alone_makes_no_child_present() -> None:
    async with telling(Site.SECONDARY) as rig:
        rig.registry.notifier.losing = True
        child = rig.registry.push(APP, ONE, "x")
        rig.registry.notifier.losing = False
        index = json.dumps({"manifests": [{"mediaType": MANIFEST, "digest": child}]}).encode()
        whole = rig.registry.put_manifest(APP, TWO, index, "application/vnd.oci.image.index.v1+json")
        await rig.registry.told()
        assert (await rig.evidence(APP, whole)).digest is DigestState.PRESENT
        assert (await rig.evidence(APP, child)).digest is DigestState.UNKNOWN
