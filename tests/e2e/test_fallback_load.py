"""Content that only the primary has, read by many at once: the secondary's 404 must never reach a client."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from extproc.sandbox.system import Sandbox
from tests.support.registry_client import RegistryClient, digest_of

pytestmark = pytest.mark.e2e

CONNECTIONS = 64
READS = 2000


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_no_404_in_the_gap(fallback: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Each digest is new to the evidence, or its absence would be remembered and the fallback not used.
    blobs = [f"blob {number}".encode() for number in range(READS // 4)]
    settings = {"policy": {"absent_ttl": 0.001}}
    async with Sandbox(workers=2, fallback=fallback, settings=settings) as sandbox:  # type: ignore[arg-type]
        where = sandbox.describe()
        async with (
            RegistryClient(where["primary_url"], where["auth_url"], connections=8) as primary,
            RegistryClient(where["registry_url"], where["auth_url"], "reader", connections=CONNECTIONS) as reader,
        ):
            for blob in blobs:
                await primary.push_blob("only/there", blob)
            await reader.token("repository:only/there:pull")
            digests = [digest_of(blob) for blob in blobs] * 4
            pending = iter(digests)
            seen: Counter[tuple[int, str, str]] = Counter()

            async def client() -> None:
                for digest in pending:
                    answer = await reader.read("only/there", "blobs", digest)
                    seen[answer.status, answer.site, answer.reason] += 1

            await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    with capsys.disabled():
        print(f"\n{fallback}: {dict(seen)}")
    assert {status for status, _, _ in seen} == {200}
    assert {site for _, site, _ in seen} == {"primary"}
    assert sum(seen.values()) == READS
    fell_back = sum(count for (_, _, reason), count in seen.items() if reason == "digest-unknown")
    assert fell_back >= READS // 2, "the test must go through the fallback"
