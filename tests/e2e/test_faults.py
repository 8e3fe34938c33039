"""Promise P1: whatever of ours fails, no client sees an error. Pulls and pushes run while parts are taken away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import pytest

from extproc.sandbox.system import Sandbox
from tests.support.registry_client import Answer, RegistryClient, digest_of, manifest_of

pytestmark = pytest.mark.e2e

REQUESTS = int(os.environ.get("GEO_TEST_FAULT_REQUESTS", "1000"))
"""`make test-load` sends 5,000 for each fault."""
CLIENTS = 8
NAME = "fault/app"


@dataclass
class Load:
    """What clients saw: in which phase, at which site, for which reason."""

    phase: str = "before"
    """The fault's: before, during, after."""
    seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    sent: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def record(self, kind: str, answer: Answer, expected: int) -> None:
        self.sent += 1
        self.moved.set()
        self.seen[self.phase, answer.site, answer.reason] += 1
        if answer.status != expected:
            self.errors.append(f"{kind}: {answer}")

    def saw(self, phase: str, *, site: str | None = None, reason: str | None = None) -> int:
        """How many answers of that phase. The reason of a request that no worker saw is empty."""
        return sum(
            number
            for (when, where, why), number in self.seen.items()
            if when == phase and site in {None, where} and reason in {None, why}
        )

    async def until(self, true: Callable[[], bool]) -> None:
        """Looked at after each request."""
        async with asyncio.timeout(120):
            while not true():
                self.moved.clear()
                await self.moved.wait()


@dataclass
class Rig:
    """A running system with its clients."""

    sandbox: Sandbox
    writers: list[RegistryClient]
    readers: list[RegistryClient]

    def workers(self) -> list[int]:
        return list(self.sandbox.describe()["pids"]["extproc"][1:])

    async def client(self, number: int, load: Load, wanted: Callable[[], bool], versions: count[int]) -> None:
        """One client's loop: push a tag of its own, read it by tag and digest, read a blob; check every answer."""
        writer, reader, tag = self.writers[number], self.readers[number], f"tag-{number}"
        while wanted():
            manifest = manifest_of(b"{}", f"{number}.{next(versions)}")
            digest = digest_of(manifest)
            try:
                load.record("push", await writer.push_manifest(NAME, tag, manifest), 201)
                for _ in range(3):
                    answer = await reader.read(NAME, "manifests", tag)
                    load.record("tag", answer, 200)
                    if answer.status == 200 and answer.digest != digest:
                        load.errors.append(f"stale: {answer}, expected {digest}")
                load.record("manifest", await reader.read(NAME, "manifests", digest), 200)
                for _ in range(3):
                    load.record("blob", await reader.read(NAME, "blobs", digest_of(b"{}")), 200)
            except OSError as error:  # aiohttp's connection errors are OSErrors
                load.errors.append(f"connection: {error!r}")

    async def run(
        self, fault: Callable[[], Awaitable[None]], felt: Callable[[Load], int], heal: Callable[[], Awaitable[None]]
    ) -> Load:
        """A third of the requests before the fault, a third with it, a third after it was healed; if need be more,
        until the fault was `felt`, and until the secondary has served after it. That both come is what is tested."""
        load, versions, over = Load(), count(), asyncio.Event()
        clients = [
            asyncio.create_task(self.client(number, load, lambda: not over.is_set(), versions))
            for number in range(CLIENTS)
        ]
        try:
            await load.until(lambda: load.saw("before") >= REQUESTS // 3)
            await fault()
            load.phase = "during"
            await load.until(lambda: load.saw("during") >= REQUESTS // 3 and felt(load) > 0)
            await heal()
            load.phase = "after"
            await load.until(lambda: load.saw("after") >= REQUESTS // 3 and load.saw("after", site="secondary") > 0)
            over.set()
            await asyncio.gather(*clients)
        finally:
            for client in clients:
                client.cancel()
        return load


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(workers=2, settings={"policy": {"write_timeout": 2}}))
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]
        writers = [await stack.enter_async_context(RegistryClient(registry, auth)) for _ in range(CLIENTS)]
        readers = [await stack.enter_async_context(RegistryClient(registry, auth, "reader")) for _ in range(CLIENTS)]
        secondary = await stack.enter_async_context(RegistryClient(where["secondary_url"], auth))
        assert (await writers[0].push_blob(NAME, b"{}")).status == 201
        assert (await secondary.push_blob(NAME, b"{}")).status == 201
        yield Rig(sandbox, writers, readers)


def report(capsys: pytest.CaptureFixture[str], title: str, load: Load) -> None:
    sites: Counter[str] = Counter()
    for (_, site, _), number in load.seen.items():
        sites[site] += number
    with capsys.disabled():
        print(f"\n{title}: {load.sent} requests, {len(load.errors)} errors, by site {dict(sites)}")


@pytest.mark.timeout(600)
async def test_every_worker_killed_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    async with rig() as running:
        killed = 0
        over = asyncio.Event()

        async def kill_all() -> None:
            nonlocal killed
            for pid in running.workers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1

        async def kill_on() -> None:
            while not over.is_set():
                await kill_all()
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 1)

        killing: list[asyncio.Task[None]] = []

        async def fault() -> None:
            killing.append(asyncio.create_task(kill_on()))

        async def heal() -> None:
            over.set()
            await killing[0]

        # A request that no worker saw has no reason.
        load = await running.run(fault, lambda load: load.saw("during", reason=""), heal)
    report(capsys, f"{killed} workers killed", load)
    assert load.errors == []
    assert killed >= 2


@pytest.mark.timeout(600)
async def test_redis_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    async with rig() as running:

        async def fault() -> None:
            running.sandbox.pause("redis")

        async def heal() -> None:
            running.sandbox.resume("redis")

        load = await running.run(fault, lambda load: load.saw("during", reason="evidence-unavailable"), heal)
    report(capsys, "Redis stopped", load)
    assert load.errors == []


@pytest.mark.timeout(600)
async def test_the_secondary_killed(capsys: pytest.CaptureFixture[str]) -> None:
    async with rig() as running:

        async def fault() -> None:
            await running.sandbox.kill("secondary")

        async def heal() -> None:
            await running.sandbox.start("secondary")

        # Asked for by evidence, and answered by the primary in the same request.
        load = await running.run(
            fault, lambda load: load.saw("during", site="primary", reason="digest-present"), heal
        )
    report(capsys, "secondary killed", load)
    assert load.errors == []


async def test_a_delete_that_no_worker_sees_is_refused_and_works_again_with_one() -> None:
    """P6 goes before P1: unseen, its tombstone could not be written, and the secondary would serve it for good."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(state="memory"))
        where = sandbox.describe()
        clients = [
            await stack.enter_async_context(RegistryClient(where[url], where["auth_url"]))
            for url in ("registry_url", "primary_url", "secondary_url")
        ]
        gateway, primary, secondary = clients
        digest = await gateway.push(NAME, "latest", "1")
        assert await secondary.push(NAME, "latest", "1") == digest
        await sandbox.stop("extproc")
        refused = await gateway.delete(NAME, digest)
        assert (refused.status, refused.site, refused.reason) == (503, "none", "evidence-unavailable")
        assert (await primary.read(NAME, "manifests", digest)).status == 200
        await sandbox.start("extproc")
        async with asyncio.timeout(20):
            while (deleted := await gateway.delete(NAME, digest)).status == 503:  # noqa: ASYNC110 - a state
                await asyncio.sleep(0.05)
        assert (deleted.status, deleted.site, deleted.reason) == (202, "primary", "write")
        gone = await gateway.read(NAME, "manifests", digest)
        assert (gone.status, gone.site, gone.reason) == (404, "primary", "digest-deleted")
        assert (await secondary.read(NAME, "manifests", digest)).status == 200
