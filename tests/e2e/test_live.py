"""`rollout.mode` switched while clients work: no error, no stale read, each mode's reasons, and a true forecast."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import pytest

from extproc.sandbox.edge import merged, toml
from extproc.sandbox.system import Sandbox
from tests.support.registry_client import Answer, RegistryClient, digest_of, manifest_of
from tests.support.swap import swap

pytestmark = pytest.mark.e2e

READS: Final = int(os.environ.get("GEO_TEST_FAULT_REQUESTS", "900"))
"""In each mode; `make test-faults` sends 5,000."""
CLIENTS: Final = 6
SETTLED: Final = 15
"""Reads in a row of each client as of the new mode. Every worker has it by then; none from before is under way."""
WITHIN: Final = 60.0 + READS / 10
POINTS: Final = 0.05


@dataclass
class Load:
    """What clients saw."""

    mode: str
    switching: bool = True
    """Workers change one by one: reads of both modes are right."""
    reads: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """By mode: (site, reason), while nothing is switched."""
    in_a_row: list[int] = field(default_factory=lambda: [0] * CLIENTS)
    wrong: list[str] = field(default_factory=list)
    over: bool = False
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self, client: int, answer: Answer, digest: str) -> None:
        if answer.status != 200 or digest_of(answer.body) != digest:
            self.wrong.append(f"{self.mode}: {answer}, expected {digest}")
        fits = _fits(self.mode, answer)
        self.in_a_row[client] = self.in_a_row[client] + 1 if fits else 0
        if not self.switching:
            self.reads.setdefault(self.mode, Counter())[answer.site, answer.reason] += 1
            if not fits:
                self.wrong.append(f"not of {self.mode}: {answer}")
        self.moved.set()

    async def until_settled(self) -> None:
        async with asyncio.timeout(WITHIN):
            while min(self.in_a_row) < SETTLED:
                self.moved.clear()
                await self.moved.wait()

    async def until_read(self, number: int) -> Counter[tuple[str, str]]:
        """So often in this mode, counted anew."""
        found: Counter[tuple[str, str]] = Counter()
        self.reads[self.mode] = found
        self.switching = False
        async with asyncio.timeout(WITHIN):
            while found.total() < number:
                self.moved.clear()
                await self.moved.wait()
        self.switching = True
        return found


def _fits(mode: str, answer: Answer) -> bool:
    """Whether a read of a manifest or blob can be of this mode."""
    if mode == "serve":
        return not answer.reason.startswith("mode-")
    if mode == "primary-only":
        return (answer.site, answer.reason) == ("primary", "mode-primary-only")
    return answer.site == "primary" and answer.reason != "mode-primary-only"


async def _client(
    number: int, load: Load, writer: RegistryClient, reader: RegistryClient, secondary: RegistryClient
) -> None:
    """Push, replicate, and read often, as CI does."""
    name, layer, versions = f"live/app-{number}", b"layer" * 500, count()
    for site in (writer, secondary):
        for blob in (b"{}", layer):
            assert (await site.push_blob(name, blob)).status == 201
    while not load.over:
        version = next(versions)
        manifest = manifest_of(b"{}", f"{number} {version}", (layer,))
        digest = digest_of(manifest)
        if (number + version) % 5:  # one of five never arrives
            # First, for what is not yet told of the secondary is open in the forecast.
            assert (await secondary.push_manifest(name, digest, manifest)).status == 201
        pushed = await writer.push_manifest(name, "latest", manifest)
        if (pushed.status, pushed.reason) != (201, "write"):
            load.wrong.append(f"push in {load.mode}: {pushed}")
        for _ in range(10):
            load.read(number, await reader.read(name, "manifests", "latest"), digest)
            load.read(number, await reader.read(name, "manifests", digest), digest)
            load.read(number, await reader.read(name, "blobs", digest_of(layer)), digest_of(layer))


@asynccontextmanager
async def _working(sandbox: Sandbox, load: Load) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        where = sandbox.describe()

        async def user(url: str, name: str = "admin") -> RegistryClient:
            return await stack.enter_async_context(RegistryClient(where[url], where["auth_url"], name))

        tasks = [
            asyncio.create_task(
                _client(
                    number,
                    load,
                    await user("registry_url"),
                    await user("registry_url", "reader"),
                    await user("secondary_url"),
                )
            )
            for number in range(CLIENTS)
        ]
        try:
            yield
            load.over = True
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _switch(sandbox: Sandbox, load: Load, mode: str) -> None:
    """As an operator does: the settings file, and nothing else."""
    settings = merged(sandbox.edge.settings, {"rollout": {"mode": mode}})
    swap(sandbox.edge.config_file, toml(settings).encode())
    load.mode, load.in_a_row = mode, [0] * CLIENTS


def _forecast(text: str) -> dict[tuple[str, bool], int]:
    """Of reads, by route and by whether the secondary is known to have it: `geo_extproc.rollout.forecast`, as the
    console exporter prints it, the last of each worker."""
    last: dict[tuple[int, str], dict[str, Any]] = {}
    for metric in _metrics(text):
        if metric["name"] == "geo_extproc.rollout.forecast":
            for point in metric["data"]["data_points"]:
                # A worker's counters begin when it does.
                last[point["start_time_unix_nano"], json.dumps(point["attributes"], sort_keys=True)] = point
    found: Counter[tuple[str, bool]] = Counter()
    for point in last.values():
        attributes = point["attributes"]
        if attributes["geo.operation"] in {"manifest", "blob"}:
            found[attributes["geo.route"], attributes["geo.present"]] += point["value"]
    return found


def _metrics(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    at = 0
    while (at := text.find('{\n    "resource_metrics"', at)) >= 0:
        document, at = decoder.raw_decode(text, at)
        for resource in document["resource_metrics"]:
            for scope in resource["scope_metrics"]:
                yield from scope["metrics"]


@pytest.mark.timeout(900)
async def test_the_mode_is_switched_under_load(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "rollout": {"mode": "observe"},
        "telemetry": {"exporter": "console", "trace_ratio": 0.0},
        # A busy machine must not keep a write from the workers: that is another test's.
        "store": {"budget": 1.0},
        "envoy": {"message_timeout": 3.0},
    }
    load = Load("observe")
    found: dict[str, Counter[tuple[str, str]]] = {}
    async with Sandbox(workers=2, settings=settings) as sandbox:
        async with _working(sandbox, load):
            # Cold at first: what is forecast of it is some reads of many.
            await load.until_settled()
            found["observe"] = await load.until_read(READS)
            _switch(sandbox, load, "serve")
            await load.until_settled()
            found["serve"] = await load.until_read(READS)
            _switch(sandbox, load, "primary-only")
            await load.until_settled()
            found["primary-only"] = await load.until_read(READS)
            _switch(sandbox, load, "serve")
            await load.until_settled()
            found["serve again"] = await load.until_read(READS)
        await sandbox.stop("extproc")
        forecast = _forecast(sandbox.part("extproc").log.read_text())
    all_ = sum(forecast.values())
    certain, open_ = forecast["secondary", True] / all_, forecast["secondary", False] / all_
    shares = {
        when: sum(number for (site, _), number in reads.items() if site == "secondary") / reads.total()
        for when, reads in found.items()
    }
    with capsys.disabled():
        print(f"\nforecast of {all_} reads: {certain:.1%} certain, {open_:.1%} open; local {shares}")
        for when, reads in found.items():
            print(f"  {when}: {dict(reads.most_common())}")
    assert not load.wrong, "\n".join(load.wrong[:5])
    assert found["observe"]["primary", "mode-observe"] > 0
    assert shares["observe"] == shares["primary-only"] == 0
    assert found["serve"]["secondary", "tag-verified"] > 0
    assert found["serve again"]["secondary", "tag-verified"] > 0
    # What is open stays so for what never arrives: the secondary's notifications tell all that does.
    for when in ("serve", "serve again"):
        assert abs(shares[when] - certain) <= POINTS
