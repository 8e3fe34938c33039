"""Real registries, their real notifications, and what readers here see once they were taken, or never come."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from extproc.oci.reference import Digest
from extproc.sandbox.system import Sandbox
from tests.notification.envelopes import NAME_DELETE, V1, envelope, event
from tests.support.notified import NotificationRelay
from tests.support.registry_client import Answer, RegistryClient, digest_of, manifest_of

pytestmark = pytest.mark.e2e

TAG = "latest"
ROUNDS = 20
READERS = 4


@dataclass
class Read:
    """One read of a tag: from when to when, by `time.monotonic`."""

    began: float
    ended: float
    answer: Answer


@dataclass
class Rig:
    """A running system whose registries notify through a relay."""

    sandbox: Sandbox
    relay: NotificationRelay
    primary: RegistryClient
    secondary: RegistryClient
    writer: RegistryClient
    """At the unified URL, as are the readers."""
    readers: list[RegistryClient]
    http: aiohttp.ClientSession

    @property
    def reader(self) -> RegistryClient:
        return self.readers[0]

    async def both(self, name: str, tag: str, version: str) -> Digest:
        """The same image at both sites, as if replicated; each has told it."""
        after = len(self.relay.acknowledged)
        digest = await self.primary.push(name, tag, version)
        assert await self.secondary.push(name, tag, version) == digest
        for site in ("primary", "secondary"):
            await self.relay.once(site, "push", after=after, repository=name, digest=digest, tag=tag)
        return digest

    async def local(self, name: str, kind: str, reference: str) -> Answer:
        """Reads until the secondary answers: the first read of a tag teaches its lease."""
        for _ in range(100):
            answer = await self.reader.read(name, kind, reference)
            assert answer.status == 200
            if answer.site == "secondary":
                return answer
        raise AssertionError(f"never served from here: {answer}")

    async def post(self, *events: dict[str, Any], site: str = "primary") -> None:
        """A notification by hand, acknowledged."""
        headers = {"Authorization": self.sandbox.sites.notification_authorization, "Content-Type": V1}
        url = f"{self.sandbox.edge.admin_url}/notifications/{site}"
        async with self.http.post(url, data=envelope(*events), headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    def forget_at_primary(self, name: str) -> None:
        """The whole name is gone there, without a notification."""
        shutil.rmtree(self.sandbox.sites.primary.root / "docker/registry/v2/repositories" / name)


@asynccontextmanager
async def rig(*, max_staleness: float = 60.0) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(NotificationRelay())
        sandbox = await stack.enter_async_context(
            Sandbox(
                workers=2, max_staleness=max_staleness, settings={"policy": {"absent_ttl": 0.05}}, notify=relay.url
            )
        )
        relay.ingest = sandbox.edge.admin_url
        where = sandbox.describe()

        async def client(url: str, user: str = "admin") -> RegistryClient:
            return await stack.enter_async_context(RegistryClient(where[url], where["auth_url"], user))

        yield Rig(
            sandbox,
            relay,
            await client("primary_url"),
            await client("secondary_url"),
            await client("registry_url"),
            [await client("registry_url", "reader") for _ in range(READERS)],
            await stack.enter_async_context(aiohttp.ClientSession()),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Rig]:
    """One system for all tests that leave it whole; each has names of its own."""
    async with rig() as opened:
        yield opened


in_one_loop = pytest.mark.asyncio(loop_scope="module")


# A tag is pushed at the primary, past this site


@in_one_loop
async def test_no_read_that_starts_after_the_acknowledgement_is_stale(
    running: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    system, name = running, "told/moving"
    await system.both(name, TAG, "0")
    version_of: dict[str, int] = {}
    due: dict[int, float] = {}
    early = 0
    reads: list[Read] = []
    over = asyncio.Event()

    async def read_on(reader: RegistryClient) -> None:
        while not over.is_set():
            began = time.monotonic()
            answer = await reader.read(name, "manifests", TAG)
            reads.append(Read(began, time.monotonic(), answer))

    async def push(version: int) -> None:
        manifest = manifest_of(b"{}", f"version {version}")
        digest = digest_of(manifest)
        version_of[digest] = version
        # The secondary has it first, so that what keeps readers from it is the lease alone.
        assert (await system.secondary.push_manifest(name, digest, manifest)).status == 201
        assert (await system.primary.push_manifest(name, TAG, manifest)).status == 201
        pushed_at = time.monotonic()
        told = await system.relay.once("primary", "push", repository=name, tag=TAG, digest=digest)
        # docker-registry tells a push before it moves the tag: its own readers see the old one meanwhile.
        nonlocal early
        early += told.at < pushed_at
        due[version] = max(told.at, pushed_at)
        await system.local(name, "manifests", TAG)  # leased anew

    await push(0)
    reading = [asyncio.create_task(read_on(reader)) for reader in system.readers]
    try:
        for version in range(1, ROUNDS + 1):
            await push(version)
    finally:
        over.set()
        await asyncio.gather(*reading)
    # docker-registry 2.8.2 answers 500 to who reads a tag while it writes it.
    torn = [read for read in reads if (read.answer.status, read.answer.site) == (500, "primary")]
    stale = [
        read
        for read in reads
        if read not in torn
        and version_of[read.answer.digest]
        < max((version for version, at in due.items() if at <= read.began), default=0)
    ]
    verified = sum(read.answer.reason == "tag-verified" for read in reads)
    with capsys.disabled():
        print(
            f"\n{len(due)} pushes at the primary, {early} acknowledged before they ended, {len(reads)} reads here, "
            f"{verified} by lease, {len(stale)} stale, {len(torn)} failed by the primary itself"
        )
    assert stale == []
    assert verified > len(reads) / 4


async def test_without_notifications_no_read_is_stale_for_longer_than_max_staleness(
    capsys: pytest.CaptureFixture[str],
) -> None:
    longest = 2.0
    async with rig(max_staleness=longest) as system:
        for name, cut, authorization, status in (
            ("told/cut-off", True, None, 502),
            ("told/wrong-secret", False, "Bearer another", 401),
        ):
            old = await system.both(name, TAG, "old")
            system.relay.cut, system.relay.authorization = cut, authorization
            before = len(system.relay.statuses)
            assert (await system.local(name, "manifests", TAG)).digest == old
            new = await system.primary.push(name, TAG, "new")
            pushed = time.monotonic()
            reads: list[Read] = []
            # Until it is seen, and a lease's time more.
            while not any(read.answer.digest == new and read.began > pushed + longest for read in reads):
                began = time.monotonic()
                reads.append(Read(began, time.monotonic(), await system.reader.read(name, "manifests", TAG)))
                assert began < pushed + 5 * longest
            await system.relay.answered(status, after=before)
            late = [read for read in reads if read.answer.digest != new and read.began > pushed + longest]
            stale = [read.began - pushed for read in reads if read.answer.digest == old]
            with capsys.disabled():
                print(
                    f"\n{name}: {len(reads)} reads, the last stale one {max(stale, default=0):.2f} s after the push"
                )
            # The lease was in force, or this shows nothing.
            assert stale
            assert late == []
            # What was not taken comes again, and then it is.
            system.relay.cut, system.relay.authorization = False, None
            await system.relay.once("primary", "push", repository=name, tag=TAG, digest=new)


# Something is deleted at the primary, past this site


@in_one_loop
async def test_what_was_deleted_at_the_primary_is_not_served_from_the_secondary(running: Rig) -> None:
    name = "told/deleted"
    digest = await running.both(name, TAG, "1")
    await running.local(name, "manifests", TAG)
    await running.local(name, "manifests", digest)
    after = len(running.relay.acknowledged)
    assert (await running.primary.delete(name, digest)).status == 202
    await running.relay.once("primary", "delete", repository=name, digest=digest, after=after)
    for reference in (digest, TAG):
        answer = await running.reader.read(name, "manifests", reference)
        assert (answer.status, answer.site) == (404, "primary")
    assert (await running.reader.read(name, "manifests", digest)).reason == "digest-deleted"
    assert (await running.secondary.read(name, "manifests", digest)).status == 200


@in_one_loop
async def test_a_late_push_of_the_secondary_does_not_bring_it_back_but_a_new_one_at_the_primary_does(
    running: Rig,
) -> None:
    name = "told/again"
    digest = await running.both(name, TAG, "1")
    await running.local(name, "manifests", digest)
    assert (await running.primary.delete(name, digest)).status == 202
    await running.relay.once("primary", "delete", repository=name, digest=digest)
    after = len(running.relay.acknowledged)
    manifest = manifest_of(b"{}", "1")
    assert (await running.secondary.push_manifest(name, TAG, manifest)).status == 201
    await running.relay.once("secondary", "push", repository=name, digest=digest, after=after)
    assert (await running.reader.read(name, "manifests", digest)).status == 404
    assert (await running.primary.push_manifest(name, TAG, manifest)).status == 201
    await running.relay.once("primary", "push", repository=name, digest=digest, after=after)
    # The notification alone revives nothing: the first read asks the primary.
    answer = await running.reader.read(name, "manifests", digest)
    assert (answer.status, answer.site, answer.reason) == (200, "primary", "digest-deleted")
    assert (await running.local(name, "manifests", digest)).digest == digest


@in_one_loop
async def test_gitlabs_database_mode_tells_no_tags(running: Rig) -> None:
    name = "told/database"
    digest = await running.both(name, TAG, "1")
    await running.local(name, "manifests", TAG)
    running.forget_at_primary(name)
    assert (await running.reader.read(name, "manifests", TAG)).reason == "tag-verified"
    await running.post(event("delete", name, digest=digest))
    answer = await running.reader.read(name, "manifests", TAG)
    assert (answer.status, answer.site) == (404, "primary")
    answer = await running.reader.read(name, "manifests", digest)
    assert (answer.status, answer.reason) == (404, "digest-deleted")


# Whole names, told by hand: docker-registry 2.8.2 can neither rename nor delete one


@in_one_loop
async def test_a_name_that_was_deleted(running: Rig) -> None:
    name = "told/whole"
    digest = await running.both(name, TAG, "1")
    await running.local(name, "manifests", TAG)
    await running.local(name, "blobs", digest_of(b"{}"))
    running.forget_at_primary(name)
    assert (await running.reader.read(name, "manifests", TAG)).site == "secondary"
    await running.post({**NAME_DELETE, "target": {"repository": name}})
    for kind, reference in (("manifests", TAG), ("manifests", digest), ("blobs", digest_of(b"{}"))):
        answer = await running.reader.read(name, kind, reference)
        assert (answer.status, answer.site) == (404, "primary")


@in_one_loop
async def test_a_path_that_was_renamed(running: Rig) -> None:
    former, below, latter, other = "told/old", "told/old/sub", "told/new", "told/old-other"
    digests = {name: await running.both(name, TAG, "1") for name in (former, below, latter, other)}
    for name, digest in digests.items():
        await running.local(name, "manifests", digest)
    running.forget_at_primary(former)
    target = {"rename": {"type": "name", "from": former, "to": latter}, "repository": former}
    await running.post({"action": "rename", "target": target})
    for name in (former, below):
        answer = await running.reader.read(name, "manifests", digests[name])
        assert (answer.status, answer.site, answer.reason) == (404, "primary", "digest-deleted")
    # The new name is the primary's to confirm, once for each digest.
    answer = await running.reader.read(latter, "manifests", digests[latter])
    assert (answer.status, answer.site, answer.reason) == (200, "primary", "digest-deleted")
    await running.local(latter, "manifests", digests[latter])
    assert (await running.reader.read(other, "manifests", digests[other])).site == "secondary"


# What is no delete


@in_one_loop
async def test_a_cancelled_upload_is_no_delete(running: Rig) -> None:
    name = "told/upload"
    await running.both(name, TAG, "1")
    await running.local(name, "manifests", TAG)
    after = len(running.relay.acknowledged)
    scope = f"repository:{name}:pull,push,delete"
    started = await running.writer.send("POST", f"/v2/{name}/blobs/uploads/", scope=scope)
    cancelled = await running.writer.send("DELETE", started.headers["Location"], scope=scope)
    assert (started.status, cancelled.status, cancelled.reason) == (202, 204, "upload-session")
    assert (await running.reader.read(name, "manifests", TAG)).reason == "tag-verified"
    # Events come in their order: nothing was told of it before this one.
    await running.primary.push_blob("told/mark", b"mark")
    await running.relay.once("primary", "push", repository="told/mark")
    assert [told for told in running.relay.acknowledged[after:] if told.names(repository=name)] == []
    # Nor is a pull, which the sandbox's registries leave out.
    assert "pull" not in {told.action for told in running.relay.acknowledged}
