"""Adoption on the whole system: what each mode answers, from where, and what it says of itself."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from extproc.oci.reference import Digest, Name
from extproc.routing.rollout import place_of
from extproc.sandbox.system import Sandbox
from tests.support.heads import EVERY_TYPE
from tests.support.registry_client import Answer, RegistryClient, digest_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

LAYER = b"a layer" * 100


@dataclass
class System:
    """A running sandbox under one rollout."""

    sandbox: Sandbox
    admin: RegistryClient
    reader: RegistryClient
    primary: RegistryClient
    secondary: RegistryClient

    async def at_both(self, name: str) -> Digest:
        """An image at both sites; the secondary's own tag is an older one."""
        await self.secondary.push(name, "latest", "old", LAYER)
        digest = await self.admin.push(name, "latest", "new", LAYER)
        manifest = await self.primary.read(name, "manifests", digest)
        assert (await self.secondary.push_manifest(name, digest, manifest.body)).status == 201
        return digest

    async def tag(self, name: str, *, method: str = "GET") -> Answer:
        return await self.reader.read(name, "manifests", "latest", method=method)

    async def tag_until(self, name: str, reason: str, *, method: str = "GET") -> Answer:
        """Read it until it is for `reason`: a push is notified whenever it pleases the registry, and drops the lease.
        Bounded by the test's own timeout."""
        while (answer := await self.tag(name, method=method)).reason != reason:
            assert (answer.status, answer.site) == (200, "primary"), answer
            await asyncio.sleep(0.05)
        return answer

    async def explained(self, *request: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "extproc", "explain", "-o", "json"),
            *("--config", self.sandbox.describe()["config_file"], *request),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(out)
        return found


@asynccontextmanager
async def running(rollout: Mapping[str, object]) -> AsyncIterator[System]:
    settings = {"rollout": rollout, "telemetry": {"exporter": "console"}}
    async with Sandbox(settings=settings) as sandbox:
        where = sandbox.describe()
        registry, auth = where["registry_url"], where["auth_url"]
        async with (
            RegistryClient(registry, auth) as admin,
            RegistryClient(registry, auth, "reader") as reader,
            RegistryClient(where["primary_url"], auth) as primary,
            RegistryClient(where["secondary_url"], auth) as secondary,
        ):
            yield System(sandbox, admin, reader, primary, secondary)


def found_in(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.site, answer.reason


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["observe", "primary-only"])
async def apart(request: pytest.FixtureRequest) -> AsyncIterator[System]:
    async with running({"mode": request.param}) as system:
        yield system


def mode_of(system: System) -> str:
    return str(system.sandbox.edge.settings["rollout"]["mode"])


async def test_every_read_is_the_primarys(apart: System) -> None:
    mode, name = mode_of(apart), "a/app"
    digest = await apart.at_both(name)
    first = await apart.tag(name)
    assert (first.status, first.site, first.digest) == (200, "primary", digest)
    assert first.reason == ("tag-unverified" if mode == "observe" else "mode-primary-only")
    for method in ("GET", "HEAD"):
        again = await apart.tag_until(name, f"mode-{mode}", method=method)
        assert (*found_in(again), again.digest) == (200, "primary", f"mode-{mode}", digest)
    blob = await apart.reader.read(name, "blobs", digest_of(LAYER))
    assert (*found_in(blob), blob.body) == (200, "primary", f"mode-{mode}", LAYER)
    base = await apart.reader.send("GET", "/v2/", scope=f"repository:{name}:pull")
    assert found_in(base) == (200, "primary", f"mode-{mode}")


async def test_a_write_is_read_at_once(apart: System) -> None:
    await apart.at_both("a/written")
    await apart.tag("a/written")
    new = await apart.admin.push("a/written", "latest", "newer")
    read = await apart.tag("a/written")
    assert (read.status, read.site, read.digest) == (200, "primary", new)
    assert (await apart.admin.delete("a/written", new)).status == 202
    assert (await apart.tag("a/written")).status == 404


async def test_the_primary_judges_tokens(apart: System) -> None:
    mode, name = mode_of(apart), "a/judged"
    await apart.at_both(name)
    nobody = await apart.reader.send("GET", "/v2/")
    assert found_in(nobody) == (401, "primary", f"mode-{mode}")
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer realm=")
    path = f"/v2/{name}/manifests/latest"
    stranger = await apart.reader.send("GET", path, scope="repository:a/other:pull")
    assert found_in(stranger) == (401, "primary", f"mode-{mode}")
    put = await apart.reader.send("PUT", path, scope=f"repository:{name}:pull", body=b"{}")
    assert found_in(put) == (401, "primary", f"mode-{mode}")


async def test_a_write_that_cannot_be_read_is_refused_all_the_same(apart: System) -> None:
    refused = await apart.admin.send("PUT", "/v2/a/app/manifests/a;b", scope="repository:a/app:pull,push", body=b"")
    assert (refused.status, refused.reason) == (400, "name-invalid")


async def test_explain_says_what_serving_would_do(apart: System) -> None:
    digest = await apart.at_both("a/explained")
    mode = f"mode-{mode_of(apart)}"
    while (told := await apart.explained("a/explained"))["reason"] != mode:
        await apart.tag_until("a/explained", mode)
    assert told["decision"]["route"] == "primary"
    if mode_of(apart) == "observe":
        would = told["decision"]["would"]
        assert (would["reason"], would["route"], would["pinned_to"]) == ("tag-verified", "secondary", digest)
    refused = await apart.explained("--anonymous", "a/explained")
    assert refused["decision"]["would"]["reason"] == "token-missing"


async def test_without_the_processor_nothing_changes_and_what_was_forecast_is_told(apart: System) -> None:
    # The last test of the module for this system: how to leave.
    digest = await apart.at_both("a/left")
    process = apart.sandbox.part("extproc")
    await process.stop()
    read = await apart.tag("a/left")
    assert (*found_in(read), read.digest) == (200, "primary", "", digest)
    told = process.log.read_text()
    points = re.findall(r'"attributes": \{([^{}]*"geo.present"[^{}]*)\}', told)
    assert '"geo_extproc.rollout.forecast"' in told
    forecast = {json.loads("{" + point + "}")["geo.reason"] for point in points}
    assert "token-missing" in forecast
    # Unknown, or present where the secondary has told of it in time.
    local = {"tag-verified", "digest-unknown", "digest-present", "api-base"}
    if mode_of(apart) == "observe":
        assert {"tag-verified", "api-base"} < forecast & local
    else:
        assert not forecast & local


# Some names only

SHARE = 50.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def partly() -> AsyncIterator[System]:
    rollout = {"include": ["a/**", "b/*"], "exclude": ["**/secret"], "percentage": SHARE}
    async with running(rollout) as system:
        yield system


def name_below(group: str, *, within: bool) -> str:
    numbered = (Name(f"{group}/app-{number}") for number in count())
    return next(name for name in numbered if (place_of(name) < SHARE) is within)


@pytest.mark.parametrize(
    ("name", "site", "reason"),
    [
        pytest.param(name_below("a/x", within=True), "secondary", "digest", id="included, deep"),
        pytest.param(name_below("b", within=True), "secondary", "digest", id="included"),
        pytest.param("a/secret", "primary", "name-excluded", id="excluded"),
        pytest.param("b/x/app", "primary", "name-excluded", id="a level too deep"),
        pytest.param("c/app", "primary", "name-excluded", id="not included"),
        pytest.param(name_below("a", within=False), "primary", "percentage-excluded", id="not yet"),
    ],
)
async def test_only_these_names_are_served_here(partly: System, name: str, site: str, reason: str) -> None:
    await partly.at_both(name)
    blob = await partly.reader.read(name, "blobs", digest_of(LAYER))
    # Unknown, or present where the secondary has told of it in time.
    told = blob.reason.removesuffix("-unknown").removesuffix("-present")
    assert (blob.status, blob.site, told) == (200, site, reason)
    path = f"/v2/{name}/manifests/latest"
    nobody = await partly.reader.send("GET", path, headers={"Accept": EVERY_TYPE[0]})
    assert (nobody.status, nobody.reason) == (401, "token-missing")


async def test_the_api_base_belongs_to_no_name(partly: System) -> None:
    base = await partly.reader.send("GET", "/v2/", scope="repository:c/app:pull")
    assert found_in(base) == (200, "secondary", "api-base")
