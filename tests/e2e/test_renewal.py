"""Hot tags never pay the WAN: the whole system with a service account, and a lease that lives for two seconds."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from extproc.sandbox.system import Sandbox
from tests.support.registry_client import Answer, RegistryClient

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MAX_STALENESS = 2.0
PERIODS = 4


@dataclass
class System:
    """A running sandbox whose processor has an account that may pull."""

    sandbox: Sandbox
    reader: RegistryClient
    primary: RegistryClient
    secondary: RegistryClient

    async def replicate(self, name: str, tag: str) -> None:
        manifest = await self.primary.read(name, "manifests", tag)
        assert manifest.status == 200
        await self.secondary.push_blob(name, b"{}")
        assert (await self.secondary.push_manifest(name, tag, manifest.body)).status == 201

    async def read(self, name: str) -> Answer:
        answer = await self.reader.read(name, "manifests", "latest", method="HEAD")
        assert answer.status == 200, answer
        return answer

    async def read_for(self, name: str, seconds: float) -> Counter[str]:
        """Its reasons, of ten reads a second."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        reasons: Counter[str] = Counter()
        while loop.time() < end:
            reasons[(await self.read(name)).reason] += 1
            await asyncio.sleep(0.1)
        return reasons

    async def status(self, path: str = "/status") -> dict[str, Any]:
        answer = await self.reader.send("GET", self.sandbox.describe()["admin_url"] + path)
        document: dict[str, Any] = json.loads(answer.body)
        return document

    async def until(self, name: str, true: Callable[[dict[str, Any]], bool], within: float) -> None:
        """Until the status of `name` is so."""
        async with asyncio.timeout(within):
            while not true(await self.status(f"/status/{name}")):  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def password(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("account") / "password"
    file.write_text("reader\n")
    return file


def digests(status: dict[str, Any]) -> list[str]:
    return [tag["digest"] for tag in status["tags"]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def system(password: Path) -> AsyncIterator[System]:
    account = {"username": "reader", "password_file": str(password), "renew": True, "renew_idle": 1.0}
    async with Sandbox(workers=2, max_staleness=MAX_STALENESS, settings={"service_account": account}) as sandbox:
        where = sandbox.describe()
        auth = where["auth_url"]
        async with (
            RegistryClient(where["registry_url"], auth, "reader") as reader,
            RegistryClient(where["primary_url"], auth) as primary,
            RegistryClient(where["secondary_url"], auth) as secondary,
        ):
            yield System(sandbox, reader, primary, secondary)


async def test_only_the_first_read_pays_the_wan(system: System) -> None:
    await system.primary.push("a/hot", "latest", "1")
    await system.replicate("a/hot", "latest")
    first = await system.read("a/hot")
    assert (first.site, first.reason) == ("primary", "tag-unverified")
    reasons = await system.read_for("a/hot", PERIODS * MAX_STALENESS)
    assert reasons.keys() == {"tag-verified"}
    assert reasons["tag-verified"] > 20


async def test_after_a_push_elsewhere_it_is_fresh_again_before_anyone_asks(system: System) -> None:
    await system.primary.push("a/pushed", "latest", "1")
    await system.replicate("a/pushed", "latest")
    await system.read_for("a/pushed", 0.5)
    new = await system.primary.push("a/pushed", "latest", "2")
    await system.replicate("a/pushed", "latest")
    await system.until("a/pushed", lambda status: digests(status) == [new], MAX_STALENESS)
    answer = await system.read("a/pushed")
    assert (answer.site, answer.reason, answer.digest) == ("secondary", "tag-verified", new)


async def test_a_tag_that_nobody_reads_any_more_costs_nothing_until_it_is_pushed(system: System) -> None:
    await system.primary.push("a/cold", "latest", "1")
    await system.replicate("a/cold", "latest")
    await system.read_for("a/cold", 0.5)
    await system.until("a/cold", lambda status: not status["figures"]["fresh_leases"], 30)
    # No worker keeps it fresh: whatever does now has heard of it from the primary.
    new = await system.primary.push("a/cold", "latest", "2")
    await system.until("a/cold", lambda status: digests(status) == [new], 30)
    await system.until("a/cold", lambda status: not status["figures"]["fresh_leases"], 30)
    assert (await system.read("a/cold")).reason == "tag-stale"


async def test_status_tells_of_it(system: System) -> None:
    await system.read_for("a/hot", 0.2)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extproc", "status", "-o", "json"),
        *("--config", system.sandbox.describe()["config_file"]),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    told = json.loads(out)
    assert told["store"]["available"]
    assert told["max_staleness"] == MAX_STALENESS
    assert told["evidence"]["names"] == 3
    assert told["evidence"]["leases"] == 3
    assert told["evidence"]["present"] >= 3
    admin = await system.status()
    assert admin["evidence"].keys() == told["evidence"].keys()
    assert admin["evidence"]["names"] == 3
