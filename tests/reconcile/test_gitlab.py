"""Reconcile between two stand-ins of GitLab's registry: bulk listing, names below a path, metadata database off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState
from extproc.oci.reference import Name
from extproc.reconcile.run import Reconciler
from extproc.reconcile.source import source_of
from extproc.reconcile.summary import Summary
from extproc.registry.client import RegistryClient
from extproc.settings.reconcile import Reconcile
from tests.registry.server import open_client
from tests.support.gitlab_registry import GitLabRegistry

NAMES = [Name("group/one"), Name("group/two"), Name("other/three")]
TAGS = 1003
"""More than one page of the listing."""


@dataclass
class Sites:
    primary: GitLabRegistry
    secondary: GitLabRegistry
    clients: tuple[RegistryClient, RegistryClient]
    store: MemoryStore

    async def run(self, settings: Reconcile) -> Summary:
        primary, secondary = self.clients
        source = source_of(settings, primary, self.store)
        return await Reconciler(self.store, primary, secondary, concurrency=2).run(source, by="a test")


@asynccontextmanager
async def opened(*, primary_database: bool, secondary_database: bool) -> AsyncIterator[Sites]:
    async with (
        GitLabRegistry(database=primary_database) as primary,
        GitLabRegistry(database=secondary_database) as secondary,
        open_client(primary.url) as asks_primary,
        open_client(secondary.url) as asks_secondary,
    ):
        for name in NAMES:
            for site in (primary, secondary):
                site.push(name, "same", "1")
            primary.push(name, "behind", "2")
            secondary.push(name, "behind", "1")
            primary.push(name, "missing", "3")
            secondary.push(name, "extra", "4")
        yield Sites(primary, secondary, (asks_primary, asks_secondary), MemoryStore(2.0))


@pytest.mark.parametrize("secondary_database", [True, False])
@pytest.mark.parametrize("primary_database", [True, False])
async def test_findings_are_the_same_in_bulk_and_by_head(primary_database: bool, secondary_database: bool) -> None:
    async with opened(primary_database=primary_database, secondary_database=secondary_database) as sites:
        found = await sites.run(Reconcile())
        assert (found.names, found.tags, found.same, found.behind, found.missing) == (3, 9, 3, 3, 3)
        assert (found.extra, found.errors, found.leases, found.present) == (3, 0, 9, 3)
        record = await sites.store.inspect(NAMES[0])
        assert set(record.leases) == {"same", "behind", "missing"}
        assert [known.state for known in record.digests.values()] == [DigestState.PRESENT]
        heads = [path for method, path in sites.primary.requests if method == "HEAD"]
        assert bool(heads) != primary_database, "in bulk no tag of the primary is asked for by itself"


async def test_more_than_a_page() -> None:
    async with opened(primary_database=True, secondary_database=True) as sites:
        for number in range(TAGS):
            sites.primary.push(NAMES[0], f"v{number}", "1")
            sites.secondary.push(NAMES[0], f"v{number}", "1")
        found = await sites.run(Reconcile())
        assert (found.tags, found.same, found.leases) == (TAGS + 9, TAGS + 3, TAGS + 9)
        listings = [path for _, path in sites.primary.requests if "group/one/tags/list" in path]
        assert len(listings) == 2


async def test_names_below_a_path() -> None:
    async with opened(primary_database=True, secondary_database=True) as sites:
        found = await sites.run(Reconcile(names="gitlab", gitlab_path="group"))
        assert (found.names, found.source) == (2, "gitlab group")


async def test_a_name_deleted_in_the_database() -> None:
    async with opened(primary_database=True, secondary_database=True) as sites:
        await sites.run(Reconcile())
        del sites.primary.content.repositories[NAMES[0]]
        found = await sites.run(Reconcile(names="store"))
        assert (found.names, found.gone, found.dropped) == (3, 1, 1)
        assert (await sites.store.inspect(NAMES[0])).dropped
