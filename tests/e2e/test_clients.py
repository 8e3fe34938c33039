"""The clients that people use: skopeo, podman and buildah, by the unified URL and nothing else."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox
from tests.support.registry_client import RegistryClient
from tests.support.shell import NAME, Shell

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(workers=2) as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, sandbox: Sandbox) -> Shell:
    return Shell(tmp_path, sandbox)


@pytest.mark.parametrize("index", [pytest.param(False, id="manifest"), pytest.param(True, id="index")])
async def test_skopeo(shell: Shell, index: bool) -> None:
    tag = f"skopeo-{index}".lower()
    digest = write_image(shell.folder / "image", tag, [content(100_000, 1), content(5_000, 2)], index=index)
    await shell.run("skopeo", "login", "--tls-verify=false", "-u", "admin", "-p", "admin", shell.registry)
    await shell.run(
        *("skopeo", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false"),
        *(f"oci:image:{tag}", f"docker://{shell.registry}/{NAME}:{tag}"),
    )
    assert await shell.digest_at(shell.primary, tag) == digest
    await shell.run("skopeo", "login", "--tls-verify=false", "-u", "reader", "-p", "reader", shell.registry)
    for place in ("before", "after"):
        await shell.run(
            *("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
            *(f"docker://{shell.registry}/{NAME}:{tag}", f"oci:{place}:{tag}"),
        )
        pulled = json.loads((shell.folder / place / "index.json").read_text())
        assert pulled["manifests"][0]["digest"] == digest
        await shell.replicate(tag)


async def test_within_three_seconds_of_replication_a_tag_is_read_here_and_its_blobs_at_once(
    shell: Shell, sandbox: Sandbox
) -> None:
    layers = [content(200_000, 7), content(9_000, 8)]
    digest = write_image(shell.folder / "image", "turns", layers)
    await shell.run(
        *("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", "admin:admin"),
        *("oci:image:turns", f"docker://{shell.registry}/{NAME}:turns"),
    )
    loop = asyncio.get_running_loop()
    async with RegistryClient(shell.where["registry_url"], shell.where["auth_url"], "reader") as reader:
        for _ in range(3):
            before = await reader.read(NAME, "manifests", "turns")
            assert (before.status, before.site, before.digest) == (200, "primary", digest)
        await shell.replicate("turns")
        replicated = loop.time()
        for layer in json.loads(before.body)["layers"]:
            blob = await reader.read(NAME, "blobs", layer["digest"])
            assert (blob.status, blob.site) == (200, "secondary")
        while True:
            answer = await reader.read(NAME, "manifests", "turns")
            assert (answer.status, answer.digest) == (200, digest)
            if (answer.site, answer.reason) == ("secondary", "tag-verified"):
                break
            # The bound is the promise itself, not a wait for the machine.
            assert loop.time() - replicated < 3, answer
            await asyncio.sleep(0.05)


@pytest.fixture
def short_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="geo-", dir="/tmp") as folder:
        yield folder


@pytest.mark.parametrize("tool", ["podman", "buildah"])
async def test_podman_and_buildah(shell: Shell, tool: str, short_folder: str) -> None:
    digest = write_image(shell.folder / "image", "base", [content(50_000, 3)])
    storage, target = shell.storage(short_folder), f"{shell.registry}/{NAME}:{tool}"
    await shell.run(tool, *storage, "login", "--tls-verify=false", "-u", "admin", "-p", "admin", shell.registry)
    loaded = (await shell.run(tool, *storage, "pull", "--quiet", "oci:image:base")).strip()
    await shell.run(tool, *storage, "push", "--quiet", "--tls-verify=false", loaded, target)
    pushed = await shell.digest_at(shell.primary, tool)
    await shell.replicate(tool)
    await shell.run(tool, *storage, "rmi", "--all", "--force")
    await shell.run(tool, *storage, "login", "--tls-verify=false", "-u", "reader", "-p", "reader", shell.registry)
    await shell.run(tool, *storage, "pull", "--quiet", "--tls-verify=false", target)
    inspected = json.loads(
        await shell.run(*(tool, *storage, "inspect"), *(["--type", "image"] if tool == "buildah" else []), target)
    )
    found = inspected["FromImageDigest"] if tool == "buildah" else inspected[0]["Digest"]
    assert found == pushed
    assert digest.startswith("sha256:")
