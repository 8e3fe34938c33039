"""The core behaviours on the whole system: real Envoy, both registries, Redis, two workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import pytest_asyncio

from extproc.oci.reference import Digest
from extproc.sandbox.site import Sites, open_sites
from extproc.sandbox.system import Sandbox
from tests.helm.installed import installed
from tests.support.control_plane.rendering import WAYS, way
from tests.support.heads import EVERY_TYPE
from tests.support.registry_client import RegistryClient, digest_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


@dataclass
class System:
    """A running system, and a client of each kind."""

    workers: Callable[[], list[int]]
    """Their pids."""
    admin: RegistryClient
    reader: RegistryClient
    primary: RegistryClient
    secondary: RegistryClient

    async def replicate(self, name: str, tag: str) -> None:
        """What a replication job does: the tag with its blobs, from the primary to the secondary."""
        manifest = await self.primary.read(name, "manifests", tag)
        assert manifest.status == 200
        await self.secondary.push_blob(name, b"{}")
        assert (await self.secondary.push_manifest(name, tag, manifest.body)).status == 201

    async def read_until(self, name: str, tag: str, reason: str) -> None:
        """Read the tag until it is served for `reason`. Bounded by the test's own timeout."""
        while True:
            answer = await self.reader.read(name, "manifests", tag)
            assert answer.status == 200, answer
            if answer.reason == reason and answer.site == "secondary":
                return
            await asyncio.sleep(0.05)


POLICY = {"write_timeout": 3}


@asynccontextmanager
async def clients(registry: str, sites: Sites, workers: Callable[[], list[int]]) -> AsyncIterator[System]:
    auth = sites.auth_url
    async with (
        RegistryClient(registry, auth) as admin,
        RegistryClient(registry, auth, "reader") as reader,
        RegistryClient(sites.primary.url, auth) as primary,
        RegistryClient(sites.secondary.url, auth) as secondary,
    ):
        yield System(workers, admin, reader, primary, secondary)


@asynccontextmanager
async def sandbox(name: str, **server: str) -> AsyncIterator[System]:
    async with Sandbox(workers=2, settings={"policy": POLICY, "server": server}, **way(name)) as running:

        def workers() -> list[int]:
            return running.part("extproc").pids()[1:]

        async with clients(running.edge.registry_url, running.sites, workers) as system:
            yield system


@asynccontextmanager
async def chart() -> AsyncIterator[System]:
    """The Helm chart's pod between the sandbox's registries."""
    async with open_sites() as sites, installed(sites, settings={"policy": POLICY}) as pod:

        def workers() -> list[int]:
            return pod.processes["processor"].pids()[1:]

        async with clients(pod.url(5000), sites, workers) as system:
            yield system


SYSTEMS: dict[str, Callable[[], AbstractAsyncContextManager[System]]] = {
    **{name: partial(sandbox, name) for name in WAYS},
    "fastlane": partial(sandbox, "composite", transport="fastlane"),
    "chart": chart,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=SYSTEMS)
async def system(request: pytest.FixtureRequest) -> AsyncIterator[System]:
    async with SYSTEMS[request.param]() as opened:
        yield opened


async def test_a_push_is_read_at_once_then_served_here_when_replicated(system: System) -> None:
    digest = await system.admin.push("a/story", "latest", "1")
    first = await system.reader.read("a/story", "manifests", "latest")
    assert (first.status, first.site, first.reason, first.digest) == (200, "primary", "tag-unverified", digest)
    second = await system.reader.read("a/story", "manifests", "latest")
    assert (second.status, second.site, second.digest) == (200, "primary", digest), "no 404 in the gap"
    await system.replicate("a/story", "latest")
    await system.read_until("a/story", "latest", "tag-verified")
    blob = await system.reader.read("a/story", "blobs", digest_of(b"{}"))
    assert (blob.status, blob.site, blob.body) == (200, "secondary", b"{}")


async def test_the_secondarys_own_tag_never_matters(system: System) -> None:
    old = await system.admin.push("a/moved", "latest", "1")
    await system.replicate("a/moved", "latest")
    new = await system.admin.push("a/moved", "latest", "2")
    for _ in range(3):
        answer = await system.reader.read("a/moved", "manifests", "latest")
        assert (answer.status, answer.digest) == (200, new)
    direct = await system.secondary.read("a/moved", "manifests", "latest")
    assert direct.digest == old, "the test needs a secondary that lags"


async def test_a_blob_that_the_secondary_lacks_comes_from_the_primary_in_the_same_request(system: System) -> None:
    content = b"only there" * 100
    await system.primary.push_blob("a/gap", content)
    first = await system.reader.read("a/gap", "blobs", digest_of(content))
    assert (first.status, first.site, first.reason, first.body) == (200, "primary", "digest-unknown", content)
    second = await system.reader.read("a/gap", "blobs", digest_of(content))
    assert (second.status, second.reason) == (200, "digest-absent")


async def test_a_deleted_manifest_is_gone_at_once_though_the_secondary_has_it(system: System) -> None:
    digest = await system.admin.push("a/deleted", "latest", "1")
    await system.replicate("a/deleted", "latest")
    await system.read_until("a/deleted", digest, "digest-present")
    assert (await system.admin.delete("a/deleted", digest)).status == 202
    gone = await system.reader.read("a/deleted", "manifests", digest)
    assert (gone.status, gone.site, gone.reason) == (404, "primary", "digest-deleted")
    assert (await system.reader.read("a/deleted", "manifests", "latest")).status == 404
    assert (await system.secondary.read("a/deleted", "manifests", digest)).status == 200


async def test_a_token_that_can_push_reads_from_the_primary(system: System) -> None:
    await system.admin.push("a/pushing", "latest", "1")
    await system.replicate("a/pushing", "latest")
    answer = await system.admin.send(
        "HEAD", f"/v2/a/pushing/blobs/{digest_of(b'{}')}", scope="repository:a/pushing:pull,push"
    )
    assert (answer.status, answer.site, answer.reason) == (200, "primary", "push-token")


@pytest.mark.parametrize(
    ("method", "path", "scope", "status", "reason"),
    [
        pytest.param("GET", "/v2/", "", 401, "token-missing", id="no token"),
        pytest.param("GET", "/v2/", "repository:a/x:pull", 200, "api-base", id="login"),
        pytest.param("GET", "/v2/a/y/tags/list", "repository:a/x:pull", 401, "scope-insufficient", id="another name"),
        pytest.param("GET", "/v2/a/x/tags/list", "repository:a/x:pull", 404, "listing", id="listing"),
        pytest.param("PUT", "/v2/a/x/manifests/a;b", "", 400, "name-invalid", id="unreadable write"),
        pytest.param("GET", "/v2/a/x/manifests/a;b", "", 404, "unknown-operation", id="unreadable read"),
    ],
)
async def test_answers(  # noqa: PLR0917 - the columns of a table
    system: System, method: str, path: str, scope: str, status: int, reason: str
) -> None:
    answer = await system.reader.send(method, path, scope=scope)
    assert (answer.status, answer.reason) == (status, reason)


@pytest.mark.parametrize("name", ["x-geo-route", "X-Geo-Route"])
async def test_a_forged_route_changes_nothing(system: System, name: str) -> None:
    digest = await system.admin.push("a/forged", "latest", "1")
    await system.replicate("a/forged", "latest")
    await system.admin.push("a/forged", "latest", "2")
    forged = {name: "secondary", "x-geo-reason": "digest-present", "x-geo-site": "secondary"}
    scope = "repository:a/forged:pull"
    forged["Accept"] = EVERY_TYPE[0]
    answer = await system.reader.send("GET", "/v2/a/forged/manifests/latest", scope=scope, headers=forged)
    assert (answer.status, answer.site, answer.reason) == (200, "primary", "tag-unverified")
    assert answer.digest != digest


async def test_without_the_processor_everything_goes_to_the_primary_and_writes_are_still_seen(
    system: System,
) -> None:
    name = "a/dead"
    await system.admin.push(name, "latest", "1")
    await system.replicate(name, "latest")
    await system.read_until(name, "latest", "tag-verified")
    workers = system.workers()
    assert len(workers) == 2
    signal_all(workers, signal.SIGSTOP)
    try:
        new: Digest = await system.admin.push(name, "latest", "2")
        answer = await system.reader.send(
            "GET",
            f"/v2/{name}/manifests/latest",
            scope=f"repository:{name}:pull",
            headers={"x-geo-route": "secondary", "Accept": EVERY_TYPE[0]},
        )
        assert (answer.status, answer.site, answer.reason, answer.digest) == (200, "primary", "", new)
    finally:
        signal_all(workers, signal.SIGCONT)
    for _ in range(3):
        assert (await system.reader.read(name, "manifests", "latest")).digest == new
