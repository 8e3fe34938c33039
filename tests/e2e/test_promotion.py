"""One change of the settings makes this site the primary: under load, with the old primary alive and dead, and after
that without a processor."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from extproc.oci.reference import Digest
from extproc.sandbox.edge import toml
from extproc.sandbox.system import Sandbox
from tests.support.registry_client import Answer, RegistryClient, digest_of, manifest_of

pytestmark = [pytest.mark.e2e]

NAME, WRITTEN = "a/app", "a/written"
LAYER = b"a layer" * 100
ACCEPTED_WITHIN = 5.0
"""Seconds from the change of the file to the first write that this site takes."""


@dataclass
class System:
    sandbox: Sandbox
    admin: RegistryClient
    reader: RegistryClient
    primary: RegistryClient
    secondary: RegistryClient
    digest: Digest = field(init=False)

    async def fill(self) -> None:
        """An image at both sites, known to be here, its tag with a lease; the secondary's own tag is older."""
        await self.secondary.push(NAME, "latest", "old", LAYER)
        self.digest = await self.admin.push(NAME, "latest", "new", LAYER)
        manifest = await self.primary.read(NAME, "manifests", self.digest)
        assert (await self.secondary.push_manifest(NAME, self.digest, manifest.body)).status == 201
        await until(lambda: self._tag("tag-verified"))

    async def replicate_the_tag(self) -> None:
        """What is to be done before a planned promotion: the secondary has caught up."""
        manifest = await self.primary.read(NAME, "manifests", self.digest)
        assert (await self.secondary.push_manifest(NAME, "latest", manifest.body)).status == 201

    async def _tag(self, reason: str) -> bool:
        answer = await self.reader.read(NAME, "manifests", "latest")
        assert (answer.status, answer.digest) == (200, self.digest)
        return answer.reason == reason and bool(answer.site)

    def change_role(self, role: str) -> None:
        """As a mounted file changes: by renaming."""
        edge = self.sandbox.edge
        edge.settings["sites"]["role"] = role
        new = edge.config_file.with_name("new.toml")
        new.write_text(toml(edge.settings))
        new.rename(edge.config_file)

    async def document(self, url: str) -> Any:
        return json.loads((await self.reader.send("GET", url)).body)

    async def runtime(self) -> str:
        found = await self.document(f"{self.sandbox.edge.envoy_admin_url}/runtime")
        return str(round(float(found["entries"]["geo.promoted"]["final_value"])))

    async def reached_primary(self) -> int:
        """Requests that Envoy has sent to the old primary; health checks do not count."""
        port = int(self.sandbox.describe()["primary_url"].rpartition(":")[2])
        clusters = await self.document(f"{self.sandbox.edge.envoy_admin_url}/clusters?format=json")
        return sum(
            int(stat.get("value", 0))
            for cluster in clusters["cluster_statuses"]
            for host in cluster.get("host_statuses", [])
            if host["address"].get("socket_address", {}).get("port_value") == port
            for stat in host["stats"]
            if stat["name"] == "rq_total"
        )

    async def first_accepted(self) -> Answer:
        """Of writes one after the other: the first that this site took.

        While the store is told of a write, reads of its name are the primary's, which may be dead: another name.
        """
        for blob in (b"{}", LAYER):
            assert (await self.secondary.push_blob(WRITTEN, blob)).status == 201
        manifest = manifest_of(b"{}", "promoted", (LAYER,))
        while True:
            answer = await self.admin.push_manifest(WRITTEN, "written", manifest)
            # The old primary lacks the layers, so a 201 is this site's: Envoy may know its role before the worker
            # does, whose reason is "write" then.
            if answer.status == 201:
                return answer
            assert answer.status in {400, 404, 503}, answer
            await asyncio.sleep(0.02)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.05)


class Readers:
    """Pull all the time: the tag, the manifest, the layer."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.answers: Counter[tuple[str, str]] = Counter()
        self.wrong: list[Answer] = []
        self.rounds = 0

    async def run(self) -> None:
        system = self._system
        wanted = [
            ("manifests", "latest", system.digest),
            ("manifests", system.digest, system.digest),
            ("blobs", digest_of(LAYER), None),
        ]
        while True:
            for kind, reference, digest in wanted:
                answer = await system.reader.read(NAME, kind, reference)
                right = answer.digest == digest if digest else answer.body == LAYER
                if answer.status != 200 or not right:
                    self.wrong.append(answer)
                self.answers[answer.site, answer.reason] += 1
            self.rounds += 1

    async def some_more(self) -> None:
        """Every reader begins and ends a round after this."""
        wanted = self.rounds + 4 * 2

        async def done() -> bool:
            return self.rounds >= wanted

        await until(done)


@asynccontextmanager
async def reading(system: System) -> AsyncIterator[Readers]:
    readers = Readers(system)
    tasks = [asyncio.create_task(readers.run()) for _ in range(4)]
    try:
        yield readers
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[System]:
    # Budgets are for machines that do nothing else: without a primary, evidence that comes late is a 503.
    settings = {"store": {"budget": 1.0}, "envoy": {"message_timeout": 3.0}}
    async with Sandbox(settings=settings, **more) as sandbox:
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]
        async with (
            RegistryClient(registry, auth) as admin,
            RegistryClient(registry, auth, "reader", connections=8) as reader,
            RegistryClient(where["primary_url"], auth) as primary,
            RegistryClient(where["secondary_url"], auth) as secondary,
        ):
            system = System(sandbox, admin, reader, primary, secondary)
            await system.fill()
            yield system


async def test_unplanned(record_property: Callable[[str, object], None]) -> None:
    """Two workers under a supervisor; the old primary is dead."""
    async with running(workers=2) as system:
        await _promoted_under_load(system, record_property, kill=True)
        # Still without a processor: an Envoy that is started again has the role as it is rendered.
        await system.sandbox.restart("envoy")
        digest = await system.admin.push(NAME, "again", "again")
        assert (await system.secondary.read(NAME, "manifests", "again")).digest == digest


async def test_planned_and_back(record_property: Callable[[str, object], None]) -> None:
    """One process with its evidence in memory, and the portable fallback; the old primary lives on."""
    async with running(state="memory", fallback="priorities") as system:
        await _promoted_under_load(system, record_property, kill=False)
        await system.sandbox.start("extproc")
        # As if Envoy had been started again with its old configuration.
        old = f"{system.sandbox.edge.envoy_admin_url}/runtime_modify?geo.promoted=0"
        assert (await system.reader.send("POST", old)).status == 200
        await until(lambda: _equal(system.runtime, "100"))
        # The tag moves here, then at the other site, and that is the primary again.
        await system.admin.push(NAME, "latest", "moved")
        other = manifest_of(b"{}", "other")
        assert (await system.primary.push_manifest(NAME, "latest", other)).status == 201
        system.change_role("secondary")
        await until(lambda: _equal(system.runtime, "0"))

        async def settled() -> bool:
            return (await system.reader.read(NAME, "manifests", "latest")).reason != "promoted"

        await until(settled)
        read = await system.reader.read(NAME, "manifests", "latest")
        assert (read.status, read.site, read.digest) == (200, "primary", digest_of(other))

        async def written() -> bool:
            """By a worker: on a busy machine Envoy may have taken it out of rotation for a moment."""
            write = await system.admin.push_manifest(NAME, "v9", manifest_of(b"{}", "v9"))
            assert write.status == 201
            return write.reason == "write"

        await until(written)
        assert (await system.primary.read(NAME, "manifests", "v9")).status == 200
        assert (await system.secondary.read(NAME, "manifests", "v9")).status == 404


async def _promoted_under_load(system: System, record_property: Callable[[str, object], None], *, kill: bool) -> None:
    loop = asyncio.get_running_loop()
    async with reading(system) as readers:
        await readers.some_more()
        await system.replicate_the_tag()
        if kill:
            await system.sandbox.kill("primary")
            await readers.some_more()
        began = loop.time()
        system.change_role("primary")
        async with asyncio.timeout(ACCEPTED_WITHIN):
            first = await system.first_accepted()
        took = loop.time() - began
        record_property("first_accepted_write_s", round(took, 2))
        print(f"\nfirst write accepted {took:.2f} s after the change {'(old primary killed)' if kill else ''}")
        assert first.site == "primary"
        here = await system.secondary.read(WRITTEN, "manifests", first.digest)
        assert here.status == 200

        # All of it: every worker and Envoy know, and what was under way has ended.
        async def known() -> bool:
            ready = await system.document(f"{system.sandbox.edge.admin_url}/readyz")
            told = (ready["configuration"], ready["mode"])
            return told == ("ok", "promoted") and await system.runtime() == "100"

        await until(known)
        await readers.some_more()
        reached = await system.reached_primary()
        readers.answers.clear()
        for number in range(10):
            digest = await system.admin.push(NAME, f"v{number}", f"v{number}", f"layer {number}".encode())
            assert (await system.reader.read(NAME, "manifests", f"v{number}")).digest == digest
            assert (await system.admin.delete(NAME, digest)).status == 202
            assert (await system.reader.read(NAME, "manifests", digest)).status == 404
        tags = await system.reader.send("GET", f"/v2/{NAME}/tags/list", scope=f"repository:{NAME}:pull")
        assert (tags.status, tags.site, tags.reason) == (200, "primary", "promoted")
        await readers.some_more()
        assert set(readers.answers) == {("primary", "promoted")}
        await _without_a_processor(system)
        assert await system.reached_primary() == reached
        assert readers.wrong == []


async def _without_a_processor(system: System) -> None:
    """What no worker sees goes where the rest went; nothing is refused for a tombstone, nothing copied."""
    await system.sandbox.stop("extproc")
    digest = await system.admin.push(NAME, "unseen", "unseen", b"an unseen layer")
    read = await system.reader.read(NAME, "manifests", "unseen")
    assert (read.status, read.digest, read.site, read.reason) == (200, digest, "primary", "")
    assert (await system.secondary.read(NAME, "manifests", "unseen")).digest == digest
    assert (await system.admin.delete(NAME, digest)).status == 202
    assert (await system.secondary.read(NAME, "manifests", digest)).status == 404


async def _equal(found: Callable[[], Awaitable[str]], wanted: str) -> bool:
    return await found() == wanted
