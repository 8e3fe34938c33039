"""Promise P7: bodies never pass through Python, whatever their size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from extproc.sandbox.system import Sandbox
from tests.support.registry_client import RegistryClient

pytestmark = pytest.mark.e2e

SMALL = 1 << 20
LARGE = int(os.environ.get("GEO_TEST_BLOB_BYTES", str(256 << 20)))
"""`make test-load` moves 2 GiB."""
CHUNK = bytes(range(256)) * 4096
ALLOWED = 5 << 20


def peak(pid: int) -> int:
    """The largest resident size so far, in bytes (proc(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmHWM for {pid}")


async def body(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // len(CHUNK)):
        yield CHUNK


async def digest_of_size(size: int) -> str:
    digest = hashlib.sha256()
    async for chunk in body(size):
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


async def messages(admin_url: str) -> tuple[int, int]:
    """Messages that Envoy sent to and got from the processor so far."""
    async with aiohttp.ClientSession() as http, http.get(f"{admin_url}/stats?filter=ext_proc.stream_msgs") as answer:
        text = await answer.text()
    totals = {"sent": 0, "received": 0}
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        totals[name.rpartition("_")[2]] += int(value)
    return totals["sent"], totals["received"]


async def transfer(client: RegistryClient, http: aiohttp.ClientSession, url: str, size: int) -> str:
    """Push a blob of `size` in one streamed PUT, and pull it again; the site that answered the pull."""
    name, digest = "large/app", await digest_of_size(size)
    token = await client.token(f"repository:{name}:pull,push")
    started = await client.send("POST", f"/v2/{name}/blobs/uploads/", scope=f"repository:{name}:pull,push")
    location = URL(f"{started.headers['Location']}&digest={digest}", encoded=True)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    async with http.put(location, data=body(size), headers=headers) as pushed:
        assert pushed.status == 201, await pushed.text()
    token = await client.token(f"repository:{name}:pull")
    found = hashlib.sha256()
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get(f"{url}/v2/{name}/blobs/{digest}", headers=headers) as pulled:
        assert pulled.status == 200
        async for chunk in pulled.content.iter_chunked(1 << 20):
            found.update(chunk)
        assert f"sha256:{found.hexdigest()}" == digest
        return pulled.headers["x-geo-site"]


@pytest.mark.timeout(900)
async def test_a_large_blob_costs_the_processor_what_a_small_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    async with Sandbox(workers=2) as sandbox:
        where = sandbox.describe()
        workers = where["pids"]["extproc"][1:]
        assert len(workers) == 2
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            RegistryClient(where["registry_url"], where["auth_url"]) as client,
            aiohttp.ClientSession(timeout=timeout) as http,
        ):
            peaks, counts = [], []
            for size in (SMALL, LARGE):
                before = await messages(where["envoy_admin_url"])
                await transfer(client, http, where["registry_url"], size)
                after = await messages(where["envoy_admin_url"])
                counts.append((after[0] - before[0], after[1] - before[1]))
                peaks.append([peak(pid) for pid in workers])
    grown = [large - small for small, large in zip(*peaks, strict=True)]
    with capsys.disabled():
        print(
            f"\n{LARGE >> 20} MiB: workers grew by {[f'{size / 1024:.0f} KiB' for size in grown]} over 1 MiB's peak; "
            f"messages (to, from the processor) 1 MiB {counts[0]}, {LARGE >> 20} MiB {counts[1]}"
        )
    assert max(grown) < ALLOWED
    assert counts[1] == counts[0]
    # POST, PUT and GET: at most two messages each.
    assert counts[1][0] <= 6
