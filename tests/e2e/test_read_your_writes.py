"""Promise P3 under fire: pushes and reads of one tag while replication misbehaves and workers die."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest

from extproc.oci.reference import Digest
from extproc.sandbox.system import Sandbox
from tests.support.registry_client import RegistryClient, digest_of, manifest_of

pytestmark = pytest.mark.e2e

NAME, TAG = "busy/app", "latest"
READERS = 8
ROUNDS = int(os.environ.get("GEO_TEST_ROUNDS", "200"))
"""`make test-load` runs 1,000."""


@dataclass
class Story:
    """What happened, and which version each client has a right to see."""

    random: random.Random
    manifests: list[bytes] = field(default_factory=list)
    reads: Counter[tuple[str, str]] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0


async def replicate(story: Story, secondary: RegistryClient, gone: asyncio.Event) -> None:
    """Replication jobs: mostly the newest version, often an old one again, in whatever order."""
    while not gone.is_set():
        if story.manifests:
            newest = len(story.manifests) - 1
            version = newest if story.random.random() < 0.7 else story.random.randint(max(0, newest - 5), newest)
            await secondary.push_manifest(NAME, TAG, story.manifests[version])
            story.jobs += 1
        await asyncio.sleep(story.random.uniform(0, 0.02))


async def disturb(story: Story, sandbox: Sandbox, gone: asyncio.Event) -> None:
    """Kill or stop one worker at a time, at random moments."""
    while not gone.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), story.random.uniform(4, 8))
            return
        workers = sandbox.describe()["pids"]["extproc"][1:]
        if not workers:
            continue
        pid = story.random.choice(workers)
        with suppress(ProcessLookupError):
            if story.random.random() < 0.5:
                os.kill(pid, signal.SIGKILL)
                story.faults["killed"] += 1
            else:
                os.kill(pid, signal.SIGSTOP)
                story.faults["stopped"] += 1
                await asyncio.sleep(story.random.uniform(0.05, 0.5))
                os.kill(pid, signal.SIGCONT)


async def one_round(story: Story, number: int, writer: RegistryClient, readers: list[RegistryClient]) -> None:
    """Push a version, then read it from many places: only this version is right."""
    manifest = manifest_of(b"{}", str(number))
    expected: Digest = digest_of(manifest)
    pushed = await writer.push_manifest(NAME, TAG, manifest)
    if pushed.status != 201:
        story.failures.append(f"push {number}: {pushed}")
        return
    story.manifests.append(manifest)

    async def look(reader: RegistryClient) -> None:
        for _ in range(2):
            answer = await reader.read(NAME, "manifests", TAG)
            story.reads[answer.site, answer.reason] += 1
            if answer.status != 200:
                story.failures.append(f"read {number}: {answer}")
            elif answer.digest != expected or digest_of(answer.body) != expected:
                story.stale.append(f"read {number}: {answer}, expected {expected}")

    await look(readers[number % READERS])
    await asyncio.sleep(story.random.uniform(0, 0.06))
    await asyncio.gather(*(look(reader) for reader in readers))


@pytest.mark.timeout(900)
async def test_no_stale_read_and_no_failed_push(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(random.Random(20))
    # Marks of writes that no worker finished last as long as a write may: short here, or nothing is learned.
    # Absence is forgotten soon, or the replication that comes a moment later would not show in a short round.
    settings = {"policy": {"write_timeout": 2, "absent_ttl": 0.05}}
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(workers=2, settings=settings))
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]
        writers = [await stack.enter_async_context(RegistryClient(registry, auth)) for _ in range(3)]
        readers = [await stack.enter_async_context(RegistryClient(registry, auth, "reader")) for _ in range(READERS)]
        secondary = await stack.enter_async_context(RegistryClient(where["secondary_url"], auth))
        await writers[0].push_blob(NAME, b"{}")
        await secondary.push_blob(NAME, b"{}")
        gone = asyncio.Event()
        background = [
            asyncio.create_task(replicate(story, secondary, gone)),
            asyncio.create_task(disturb(story, sandbox, gone)),
        ]
        try:
            for number in range(ROUNDS):
                await one_round(story, number, writers[number % len(writers)], readers)
        finally:
            gone.set()
            await asyncio.gather(*background)
    total = sum(story.reads.values())
    local = sum(count for (site, _), count in story.reads.items() if site == "secondary")
    with capsys.disabled():
        print(
            f"\n{ROUNDS} pushes, {total} reads, {local / total:.0%} local, {len(story.stale)} stale, "
            f"{len(story.failures)} failed, {story.jobs} replication jobs, faults {dict(story.faults)}\n"
            f"{dict(story.reads.most_common())}\n{story.failures[:3]}"
        )
    assert story.stale == []
    assert story.failures == []
    assert story.faults
    assert local >= 0.3 * total
