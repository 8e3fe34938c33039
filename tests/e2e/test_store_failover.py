"""The store's master killed under load, on a Redis Cluster and under Sentinel: P1 and P3 through a failover."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from extproc.oci.reference import Digest
from extproc.sandbox.system import Sandbox
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.registry_client import Answer, RegistryClient, digest_of, manifest_of

pytestmark = pytest.mark.e2e

REQUESTS = int(os.environ.get("GEO_TEST_FAULT_REQUESTS", "1000")) // 4
"""Before the kill, and again after the recovery; as many as it takes between. `make test-load` sends more."""
CLIENTS = 8
TAGS = 5
RECOVERY_WITHIN = 60.0
LOST = 0.1
"""Seconds before the kill in which a master may have acknowledged what no replica had yet (P3's first exception)."""


@dataclass
class Client:
    """One that pushes, one that reads, one that replicates; and what the reader has a right to see."""

    number: int
    writer: RegistryClient
    reader: RegistryClient
    secondary: RegistryClient
    pushed: dict[str, tuple[Digest, float]] = field(default_factory=dict)
    """By tag: the newest, and when its 201 came."""
    undecided: float = 0.0
    """When the last answer without evidence came."""
    decided: float = 0.0
    """When the last one with evidence came."""

    @property
    def name(self) -> str:
        """In a slot of its own."""
        return f"failover/app-{self.number}"


@dataclass
class Load:
    """What clients saw."""

    killed: float | None = None
    sent: int = 0
    sites: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    over: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def record(self, client: Client, kind: str, answer: Answer, expected: int) -> None:
        self.sent += 1
        self.sites[answer.site] += 1
        self.reasons[answer.reason] += 1
        if answer.status != expected:
            self.errors.append(f"{kind}: {answer}")
        if answer.reason == "evidence-unavailable":
            client.undecided = time.monotonic()
        elif kind == "tag":
            client.decided = time.monotonic()
        self.moved.set()

    async def reached(self, number: int) -> None:
        while self.sent < number:
            self.moved.clear()
            await self.moved.wait()

    async def recovered(self, clients: list[Client]) -> float:
        """Seconds from the kill to the last answer without evidence, once every client is decided on again."""
        assert self.killed is not None
        async with asyncio.timeout(RECOVERY_WITHIN):
            while clients[0].undecided < self.killed:
                await self.reached(self.sent + 1)
            while not all(each.decided > max(each.undecided, clients[0].undecided, self.killed) for each in clients):
                await self.reached(self.sent + 1)
        return max(client.undecided for client in clients) - self.killed


async def run(client: Client, load: Load, versions: count[int]) -> None:
    """Push a tag, read it and others that this client pushed before, each time by tag and by digest; check all.

    Replication is late, and leaves out every other version: the secondary's tags are often the past.
    """
    chance = random.Random(client.number)
    while not load.over:
        tag = f"tag-{chance.randrange(TAGS)}"
        manifest = manifest_of(b"{}", f"{client.number}.{next(versions)}")
        try:
            load.record(client, "push", await client.writer.push_manifest(client.name, tag, manifest), 201)
            client.pushed[tag] = digest_of(manifest), time.monotonic()
            await look(client, load, tag)
            if chance.random() < 0.5:
                await client.secondary.push_manifest(client.name, tag, manifest)
            for each in chance.choices(list(client.pushed), k=4):
                await look(client, load, each)
            load.record(client, "blob", await client.reader.read(client.name, "blobs", digest_of(b"{}")), 200)
        except OSError as error:  # aiohttp's connection errors are OSErrors
            load.errors.append(f"connection: {error!r}")


async def look(client: Client, load: Load, tag: str) -> None:
    digest, at = client.pushed[tag]
    answer = await client.reader.read(client.name, "manifests", tag)
    load.record(client, "tag", answer, 200)
    if answer.status == 200 and (answer.digest != digest or digest_of(answer.body) != digest):
        killed = load.killed or 0.0
        when = f"pushed {at - killed:+.3f} s, read {time.monotonic() - killed:+.3f} s after the kill"
        stale = f"stale: {client.name}:{tag} {answer}, expected {digest}, {when}"
        lost = 0 <= killed - at < LOST
        (load.lost if lost else load.errors).append(stale)
    answer = await client.reader.read(client.name, "manifests", digest)
    load.record(client, "manifest", answer, 200)
    if answer.status == 200 and digest_of(answer.body) != digest:
        load.errors.append(f"wrong bytes: {answer}, expected {digest}")


@asynccontextmanager
async def system(store_url: str) -> AsyncIterator[list[Client]]:
    """The whole system, with two workers on that store."""
    # Absence is forgotten soon, or replication that comes a moment later would not show.
    settings = {"policy": {"write_timeout": 2, "absent_ttl": 0.05}, "store": {"url": store_url}}
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(workers=2, settings=settings))
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]

        async def user(url: str, name: str = "admin") -> RegistryClient:
            return await stack.enter_async_context(RegistryClient(url, auth, name))

        clients = [
            Client(n, await user(registry), await user(registry, "reader"), await user(where["secondary_url"]))
            for n in range(CLIENTS)
        ]
        for client in clients:
            for writer in (client.writer, client.secondary):
                assert (await writer.push_blob(client.name, b"{}")).status == 201
        yield clients


Topology = Callable[[Path], AbstractContextManager[tuple[str, RedisServer]]]


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, RedisServer]]:
    """Its URL, and the master of the first client's name."""
    with RedisCluster(folder) as running:
        yield running.url, running.master_of("geo:{failover/app-0}")


@contextmanager
def sentinel(folder: Path) -> Iterator[tuple[str, RedisServer]]:
    """As documented: a busy machine may make Sentinels replace a master that lives, which then must not go on."""
    with RedisSentinel(folder, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2") as running:
        yield running.url, running.master()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("topology", [pytest.param(cluster, id="cluster"), pytest.param(sentinel, id="sentinel")])
async def test_the_master_killed_under_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, topology: Topology
) -> None:
    with topology(tmp_path / "redis") as (url, master):
        async with system(url) as clients:
            load, versions = Load(), count()
            running = [asyncio.create_task(run(client, load, versions)) for client in clients]
            try:
                await load.reached(REQUESTS)
                before = Counter(load.reasons)
                master.kill()
                load.killed = time.monotonic()
                seconds = await load.recovered(clients)
                during = load.reasons - before
                sent = load.sent
                await load.reached(sent + REQUESTS)
                load.over = True
                await asyncio.gather(*running)
            finally:
                for task in running:
                    task.cancel()
    after = load.reasons - before - during
    with capsys.disabled():
        print(
            f"\n{request.node.callspec.id}: master killed; {load.sent} requests, {len(load.errors)} errors, "
            f"{len(load.lost)} stale by what the master lost; on evidence again after {seconds:.1f} s; "
            f"by site {dict(load.sites)}\nbefore {dict(before)}\nduring {dict(during)}\nafter {dict(after)}"
        )
    assert load.errors[:5] == []
    assert before["tag-verified"] > 0
    assert during["evidence-unavailable"] > 0
    assert after["tag-verified"] > 0
