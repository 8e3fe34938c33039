"""The two sites with real registries, a real client and our issuer; no processor, no Envoy."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from extproc.sandbox.image import content, write_image
from extproc.sandbox.ports import HOST
from extproc.sandbox.site import Sites, open_sites
from tests.sandbox.conftest import basic, run

ADMIN = "admin:admin"
READER = "reader:reader"
ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}


@pytest.fixture(scope="module", params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "https")


@pytest.fixture
async def sites(tls: bool) -> AsyncIterator[Sites]:
    async with open_sites(tls=tls, wan_rtt=20) as opened:
        yield opened


class Skopeo:
    """Copies between layouts and registries, with trust in the sandbox's authority."""

    def __init__(self, sites: Sites, folder: Path) -> None:
        self._folder = folder / "trust"
        self._folder.mkdir()
        self._tls = sites.ca_file is not None
        if sites.ca_file:
            shutil.copy(sites.ca_file, self._folder / "ca.crt")

    def _trust(self, side: str) -> list[str]:
        return [f"--{side}cert-dir={self._folder}"] if self._tls else [f"--{side}tls-verify=false"]

    async def login(self, url: str, user: str, password: str) -> int:
        store = f"--authfile={self._folder / 'auth.json'}"
        host = url.partition("://")[2]
        command = ["skopeo", "login", store, *self._trust(""), "-u", user, "-p", password, host]
        return (await run(command))[0]

    async def push(self, layout: Path, tag: str, url: str, name: str, credentials: str) -> int:
        target = f"docker://{url.partition('://')[2]}/{name}"
        trust = [*self._trust("dest-"), f"--dest-creds={credentials}"]
        command = ["skopeo", "copy", "--multi-arch=all", *trust, f"oci:{layout}:{tag}", target]
        return (await run(command))[0]

    async def pull(self, url: str, name: str, layout: Path, credentials: str | None = None) -> int:
        source = f"docker://{url.partition('://')[2]}/{name}"
        trust = [*self._trust("src-"), *([f"--src-creds={credentials}"] if credentials else [])]
        command = ["skopeo", "copy", "--multi-arch=all", *trust, source, f"oci:{layout}:got"]
        return (await run(command))[0]


@pytest.mark.e2e
async def test_who_may_do_what(sites: Sites, tmp_path: Path) -> None:
    skopeo = Skopeo(sites, tmp_path)
    layout = tmp_path / "layout"
    write_image(layout, "plain", [content(50_000, 1), content(100, 2)])
    write_image(layout, "index", [content(1_000, 3)], index=True)
    primary, wan = sites.primary.url, sites.primary_wan_url

    assert await skopeo.login(primary, "admin", "admin") == 0
    assert await skopeo.login(primary, "admin", "wrong") != 0
    assert await skopeo.push(layout, "plain", primary, "public/app:1", ADMIN) == 0
    assert await skopeo.push(layout, "index", wan, "group/app:1", ADMIN) == 0
    assert await skopeo.push(layout, "plain", primary, "group/app:2", READER) != 0
    assert await skopeo.pull(wan, "public/app:1", tmp_path / "one") == 0
    assert await skopeo.pull(primary, "group/app:1", tmp_path / "two") != 0
    assert await skopeo.pull(primary, "group/app:1", tmp_path / "three", READER) == 0
    assert await skopeo.pull(sites.secondary.url, "public/app:1", tmp_path / "four") != 0


@pytest.fixture
async def plain() -> AsyncIterator[Sites]:
    async with open_sites(state="memory") as opened:
        yield opened


async def token(session: aiohttp.ClientSession, sites: Sites, user: str, scope: str) -> dict[str, str]:
    query = {"service": "container_registry", "scope": scope}
    async with session.get(sites.auth_url, params=query, headers=basic(user, user)) as response:
        return {"Authorization": f"Bearer {(await response.json())['token']}", **ACCEPT}


async def _status(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    async with session.get(url, headers=headers) as response:
        return response.status


@pytest.mark.e2e
async def test_the_challenge_names_the_issuer_and_the_catalog_is_for_admin(plain: Sites) -> None:
    catalog = f"{plain.primary.url}/v2/_catalog"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{plain.secondary.url}/v2/") as response:
            assert response.status == 401
            expected = f'Bearer realm="{plain.auth_url}",service="container_registry"'
            assert response.headers["WWW-Authenticate"] == expected
        for user, status in (("admin", 200), ("reader", 401)):
            headers = await token(session, plain, user, "registry:catalog:*")
            assert await _status(session, catalog, headers) == status


@pytest.mark.e2e
async def test_pushes_and_deletes_are_told_with_the_secret_and_lost_files_are_missed_at_once(
    plain: Sites, tmp_path: Path
) -> None:
    told: asyncio.Queue[tuple[str, str | None, dict[str, Any]]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        for event in (await request.json())["events"]:
            told.put_nowait((request.path, request.headers.get("Authorization"), event))
        return web.Response()

    app = web.Application()
    app.router.add_post("/notifications/{site}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, plain.admin_port, reuse_address=True).start()

    skopeo = Skopeo(plain, tmp_path)
    digest = write_image(tmp_path / "layout", "x", [content(1000)])
    assert await skopeo.push(tmp_path / "layout", "x", plain.primary.url, "group/app:x", ADMIN) == 0
    while True:
        path, secret, event = await asyncio.wait_for(told.get(), 5)
        if event["action"] == "push" and event["target"].get("tag") == "x":
            break
    assert (path, secret) == ("/notifications/primary", plain.notification_authorization)
    assert event["target"]["digest"] == digest
    assert len(event["target"]["references"]) == 2

    async with aiohttp.ClientSession() as session:
        headers = await token(session, plain, "admin", "repository:group/app:pull,delete")
        manifest = f"{plain.primary.url}/v2/group/app/manifests/{digest}"
        layer = event["target"]["references"][1]["digest"]
        blob = f"{plain.primary.url}/v2/group/app/blobs/{layer}"
        assert await _status(session, blob, headers) == 200
        value = layer.removeprefix("sha256:")
        shutil.rmtree(plain.primary.root / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}")
        assert await _status(session, blob, headers) == 404
        async with session.delete(manifest, headers=headers) as response:
            assert response.status == 202
        assert await _status(session, manifest, headers) == 404
    while event["action"] != "delete":
        _, _, event = await asyncio.wait_for(told.get(), 5)
    await runner.cleanup()


@pytest.mark.e2e
async def test_a_killed_registry_and_redis_come_back_with_their_data(tmp_path: Path) -> None:
    async with open_sites() as sites:
        skopeo = Skopeo(sites, tmp_path)
        write_image(tmp_path / "layout", "x", [content(1000)])
        assert await skopeo.push(tmp_path / "layout", "x", sites.primary.url, "public/app:x", ADMIN) == 0
        for part in (sites.parts["primary"], sites.parts["redis"]):
            await part.kill()
            assert not part.running
            await part.start()
        assert await skopeo.pull(sites.primary.url, "public/app:x", tmp_path / "got") == 0
