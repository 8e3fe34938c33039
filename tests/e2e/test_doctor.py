"""`geo-extproc doctor` on a real system: silent where all is well, and each defect found by the check that is for it.

One sandbox serves all; a defect is a setting that is wrong, a part that is stopped or replaced, or a stand-in.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from yarl import URL

from extproc.doctor.checks import CHECKS
from extproc.doctor.examination import Examined, examine
from extproc.doctor.finding import Finding, State
from extproc.doctor.installation import Wishes, open_installation
from extproc.doctor.report import exit_code
from extproc.sandbox.certificates import signing_pair
from extproc.sandbox.edge import merged, toml
from extproc.sandbox.issuer import Signer, application
from extproc.sandbox.probe import answers
from extproc.sandbox.process import Process
from extproc.sandbox.registry import Registry
from extproc.sandbox.system import Sandbox
from extproc.settings import Settings
from tests.registry.server import Answering, Server
from tests.support import envoy
from tests.support.ports import free_port
from tests.support.registry_client import RegistryClient

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

NAME = "doctor/app"


@dataclass
class Rig:
    """A running system in which an image is at both sites."""

    sandbox: Sandbox
    folder: Path
    made: int = 0

    def new(self) -> Path:
        """A folder that nobody has used."""
        self.made += 1
        folder = self.folder / str(self.made)
        folder.mkdir()
        return folder

    async def doctor(self, *checks: str, **settings: Any) -> list[Examined]:
        """What it says with these settings, table by table, changed."""
        file = self.new() / "geo.toml"
        file.write_text(toml(merged(self.sandbox.edge.settings, settings)))
        chosen = {name: CHECKS[name] for name in checks or CHECKS}
        async with open_installation(Settings.load(file), Wishes(), compare="envoy-config" in chosen) as installation:
            return await examine(installation, chosen)


def bad(examined: list[Examined]) -> set[tuple[str, str]]:
    """Check and subject of each finding that is a warning or a fault."""
    return {
        (each.name, finding.subject)
        for each in examined
        for finding in each.findings
        if finding.state in (State.WARNING, State.FAULT)
    }


def the(examined: list[Examined], check: str, subject: str) -> Finding:
    """The one finding, which is not good; and so the exit code is 1."""
    (found,) = (
        finding
        for each in examined
        if each.name == check
        for finding in each.findings
        if finding.subject == subject and finding.state in (State.WARNING, State.FAULT)
    )
    assert found.remedy
    assert exit_code(examined, strict=False) == 1
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    # A busy machine is no defect.
    patient = {"store": {"budget": 1.0}, "envoy": {"message_timeout": 3.0}}
    async with Sandbox(workers=2, settings=patient) as sandbox:
        auth, sites = sandbox.sites.auth_url, sandbox.sites
        for site in (sites.primary, sites.secondary):
            async with RegistryClient(site.url, auth) as client:
                await client.push(NAME, "v1", "1", b"layer")
        rig = Rig(sandbox, tmp_path_factory.mktemp("doctor"))

        async def told() -> bool:
            return (await rig.doctor("notifications"))[0].state is State.OK

        await until(told)
        yield rig


@asynccontextmanager
async def in_front_of(target: str, change: Callable[[web.BaseRequest, web.Response], None]) -> AsyncIterator[str]:
    """The URL of a server that passes requests on to `target`, and changes the answers."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def answer(request: web.BaseRequest) -> web.Response:
            url = URL(target + request.raw_path, encoded=True)
            async with session.request(
                request.method, url, headers=request.headers, allow_redirects=False
            ) as response:
                kept = {
                    name: value
                    for name, value in response.headers.items()
                    if name.lower() not in ("content-length", "transfer-encoding")
                }
                passed = web.Response(status=response.status, body=await response.read(), headers=kept)
            change(request, passed)
            return passed

        async with Server(answer) as server:
            yield server.url


def later(seconds: float) -> Callable[[web.BaseRequest, web.Response], None]:
    """As a site whose clock is ahead would answer."""

    def change(request: web.BaseRequest, response: web.Response) -> None:
        told = parsedate_to_datetime(response.headers["Date"]).timestamp()
        response.headers["Date"] = formatdate(told + seconds, usegmt=True)

    return change


def always(document: Any) -> Answering:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response(document)

    return answer


async def run(config: Path, *arguments: str) -> tuple[int | None, str, str]:
    """The command itself."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extproc", "doctor", "--config", str(config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("GEO_EXTPROC_")},
    )
    out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await true():  # noqa: ASYNC110 - other programs set no event of ours
            await asyncio.sleep(0.05)


async def test_all_is_well(rig: Rig) -> None:
    code, out, err = await run(rig.sandbox.edge.config_file, "--strict", "-o", "json")
    found = json.loads(out)
    assert [
        (each["check"], finding)
        for each in found["checks"]
        for finding in each["findings"]
        if finding["state"] != "ok"
    ] == []
    assert (code, err, found["state"], len(found["checks"])) == (0, "", "ok", len(CHECKS))
    secrets = rig.sandbox.sites.notification_authorization.removeprefix("Bearer ")
    assert secrets not in out
    assert "eyJ" not in out, "a token"


async def test_the_gateway_by_its_url(rig: Rig, tmp_path: Path) -> None:
    """And a table, a token that was given, a check left out."""
    async with RegistryClient(rig.sandbox.edge.registry_url, rig.sandbox.sites.auth_url, "reader") as client:
        token = await client.token(f"repository:{NAME}:pull")
    file = tmp_path / "token"
    file.write_text(token + "\n")
    code, out, err = await run(
        rig.sandbox.edge.config_file,
        *("--url", rig.sandbox.edge.registry_url, "--token-file", str(file), "--ignore", "notifications"),
        *("--repository", NAME, "--strict"),
    )
    assert (code, err) == (0, ""), out
    assert out.splitlines()[0].split() == ["state", "check", "of", "finding"]
    assert out.splitlines()[-1].startswith(f"{len(CHECKS) - 1} checks, ")
    assert "notifications" not in out
    assert token not in out


async def test_the_key_of_another_issuer(rig: Rig) -> None:
    other = signing_pair(rig.new())
    examined = await rig.doctor(auth={"keys": [str(other.certificate)]})
    found = the(examined, "token-keys", "kid")
    assert "none of those in" in found.text
    assert bad(examined) == {("token-keys", "kid")}


async def test_no_key_at_all(rig: Rig) -> None:
    examined = await rig.doctor(auth={"keys": ["nowhere.pem"]})
    assert "cannot be read" in the(examined, "token-keys", "keys").text


async def test_other_issuer_and_service(rig: Rig) -> None:
    examined = await rig.doctor(auth={"issuer": "another"})
    assert "iss 'gitlab-issuer'" in the(examined, "token-keys", "iss").text
    examined = await rig.doctor("registry-auth", auth={"service": "another", "realm": "https://else.example/auth"})
    assert ("registry-auth", "primary") in bad(examined)
    texts = " ".join(finding.text for finding in examined[0].findings)
    assert "auth.service is 'another'" in texts
    assert "auth.realm is 'https://else.example/auth'" in texts


@asynccontextmanager
async def registry(rig: Rig, **changes: Any) -> AsyncIterator[str]:
    """One more real registry on the secondary's data."""
    workspace, secondary = rig.sandbox.workspace, rig.sandbox.sites.secondary
    other = dataclasses.replace(
        secondary, name=f"other-{rig.made}", port=workspace.ports.take(), notifications=None, **changes
    )
    rig.made += 1
    process = other.process(workspace)
    await process.start()
    try:
        yield other.url
    finally:
        await process.stop()


async def test_a_registry_that_asks_for_no_token(rig: Rig) -> None:
    class Open(Registry):
        def configuration(self) -> dict[str, Any]:
            configuration = super().configuration()
            del configuration["auth"]
            return configuration

    workspace, known = rig.sandbox.workspace, rig.sandbox.sites.secondary
    opened = Open("open", workspace.ports.take(), known.root, known.realm, known.trusted, known.secret)
    made = opened.process(workspace)
    process = Process(
        "open",
        made.command,
        log=made.log,
        environment=workspace.environment,
        probe=answers(f"{opened.url}/v2/", 200),
    )
    await process.start()
    try:
        examined = await rig.doctor(sites={"secondary": {"url": opened.url}})
    finally:
        await process.stop()
    texts = {
        finding.text.partition(" at ")[2].partition(" ")[2]
        for each in examined
        if each.name == "registry-auth"
        for finding in each.findings
        if finding.state is State.FAULT
    }
    assert texts == {"answers without a token", "accepts a token with a broken signature"}
    assert bad(examined) == {("registry-auth", "secondary"), ("envoy-config", "config")}
    assert exit_code(examined, strict=False) == 1


async def test_a_registry_with_another_key(rig: Rig) -> None:
    async with registry(rig, trusted=signing_pair(rig.new()).certificate) as url:
        examined = await rig.doctor(sites={"secondary": {"url": url}})
    assert "another key" in the(examined, "token-accepted", "secondary").text
    assert bad(examined) == {("token-accepted", "secondary"), ("envoy-config", "config")}


async def test_a_clock_that_is_wrong(rig: Rig) -> None:
    secondary = rig.sandbox.sites.secondary.url
    async with in_front_of(secondary, later(30)) as url:
        examined = await rig.doctor("clock", sites={"secondary": {"url": url}})
        assert the(examined, "clock", "secondary").state is State.WARNING
        assert bad(examined) == {("clock", "secondary")}
        examined = await rig.doctor("clock", sites={"secondary": {"url": url}}, auth={"leeway": 10})
        assert the(examined, "clock", "secondary").state is State.FAULT


async def test_an_issuer_whose_clock_is_wrong(rig: Rig) -> None:
    class Ahead(Signer):
        def _sign(self, claims: dict[str, Any]) -> str:
            return super()._sign({**claims, "iat": claims["iat"] + 300, "nbf": claims["nbf"] + 300})

    app = application(Ahead.load(rig.sandbox.sites.signing.private_key))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        examined = await rig.doctor("clock", "token-keys", sites={"issuer": {"url": issuer}})
    finally:
        await runner.cleanup()
    assert "ahead of ours" in the(examined, "clock", "token").text
    assert "refused here" in the(examined, "token-keys", "token").text


async def test_redis_evicts_anything(rig: Rig) -> None:
    await redis(rig, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        examined = await rig.doctor()
    finally:
        await redis(rig, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "allkeys-lru" in the(examined, "store-durability", "eviction").text
    assert bad(examined) == {("store-durability", "eviction")}


async def redis(rig: Rig, *words: str) -> None:
    port = URL(rig.sandbox.sites.redis_url or "").port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((" ".join(words) + "\r\n").encode())
    assert await reader.readline() == b"+OK\r\n"
    writer.close()


async def test_a_wrong_secret_and_none(rig: Rig) -> None:
    file = rig.new() / "secret"
    file.write_text("not this one\n")
    examined = await rig.doctor(notifications={"secret_file": str(file)})
    assert "refuses the secret on line 1" in the(examined, "notifications", "primary").text
    assert bad(examined) == {("notifications", "primary"), ("notifications", "secondary")}
    examined = await rig.doctor(notifications={"secret_file": None})
    assert "is not set" in the(examined, "notifications", "secret").text
    assert bad(examined) == {("notifications", "secret")}


async def test_a_redirect_to_nowhere(rig: Rig) -> None:
    storage = f"http://127.0.0.1:{free_port()}"

    def redirect(request: web.BaseRequest, response: web.Response) -> None:
        if "/blobs/" in request.path and response.status in (200, 206):
            response.set_status(307)
            response.headers["Location"] = f"{storage}/bucket/x?X-Amz-Signature=hidden"

    async with in_front_of(rig.sandbox.sites.secondary.url, redirect) as url:
        examined = await rig.doctor("redirects", sites={"secondary": {"url": url}})
        dead = the(examined, "redirects", "blob")
        assert dead.state is State.FAULT
        assert storage in dead.text
        async with Server(always({})) as server:
            storage = server.url
            examined = await rig.doctor("redirects", sites={"secondary": {"url": url}})
            alive = the(examined, "redirects", "blob")
            assert server.paths == ["/bucket/x?X-Amz-Signature=hidden"]
            assert server.authorizations == [""], "our token went to the storage"
        assert alive.state is State.WARNING
        assert "hidden" not in dead.text + alive.text + alive.remedy


async def test_a_site_that_is_the_gateway(rig: Rig) -> None:
    examined = await rig.doctor(sites={"primary": {"url": rig.sandbox.edge.registry_url}})
    assert "is the gateway itself" in the(examined, "site-urls", "primary").text
    assert bad(examined) == {("site-urls", "primary"), ("envoy-config", "config")}
    async with in_front_of(rig.sandbox.edge.registry_url, lambda request, response: None) as another:
        examined = await rig.doctor("site-urls", sites={"primary": {"url": another}})
    assert "x-geo-reason" in the(examined, "site-urls", "primary").text


@asynccontextmanager
async def without_strip(rig: Rig) -> AsyncIterator[dict[str, Any]]:
    """One more Envoy, whose configuration was edited; the table of settings for it."""
    document = yaml.safe_load(rig.sandbox.edge.envoy_config_file.read_text())
    (chain,) = document["static_resources"]["listeners"][0]["filter_chains"]
    del chain["filters"][0]["typed_config"]["early_header_mutation_extensions"]
    async with envoy.running(yaml.safe_dump(document), rig.new()) as edited:
        yield {"listen": f"127.0.0.1:{edited.port}", "admin": edited.admin_url.removeprefix("http://")}


async def test_an_envoy_that_keeps_forged_headers(rig: Rig) -> None:
    async with without_strip(rig) as edited:
        examined = await rig.doctor(envoy=edited)
    assert "lets clients send x-geo-reason, x-geo-route, x-geo-site" in the(examined, "steering", "config").text
    assert "came back" in the(examined, "steering", "past").text
    assert bad(examined) == {("steering", "config"), ("steering", "past"), ("envoy-config", "config")}


async def test_an_envoy_with_an_older_configuration(rig: Rig) -> None:
    examined = await rig.doctor(envoy={"per_try_timeout": 3.0})
    text = the(examined, "envoy-config", "config").text
    assert "route secondary-first" not in text
    assert "per_try_timeout: '5s' runs, '3s' is rendered" in text
    assert bad(examined) == {("envoy-config", "config")}


async def test_an_old_envoy(rig: Rig) -> None:
    async with Server(always({"version": "abc/1.36.2/Clean/RELEASE/BoringSSL"})) as admin:
        examined = await rig.doctor("envoy", envoy={"admin": admin.url.removeprefix("http://")})
    assert "Envoy 1.36.2" in the(examined, "envoy", "version").text


async def test_a_worker_that_is_missing(rig: Rig) -> None:
    examined = await rig.doctor("processor", server={"workers": 3})
    assert "2 of 3 workers serve" in the(examined, "processor", "workers").text


async def test_a_socket_for_everybody(rig: Rig) -> None:
    socket = rig.sandbox.workspace.sockets / "worker-1.sock"
    mode = socket.stat().st_mode
    socket.chmod(0o777)
    try:
        examined = await rig.doctor()
    finally:
        socket.chmod(mode)
    assert "worker-1.sock (0777)" in the(examined, "processor", "sockets").text
    assert bad(examined) == {("processor", "sockets")}


async def test_redis_is_down(rig: Rig) -> None:
    await rig.sandbox.stop("redis")
    try:

        async def noticed() -> bool:
            return ("processor", "store") in bad(await rig.doctor("processor"))

        await until(noticed)
        examined = await rig.doctor()
    finally:
        await rig.sandbox.start("redis")
    assert "is away" in the(examined, "store", "answer").text
    assert ("store", "answer") in bad(examined)
    assert {name for name, _ in bad(examined)} <= {"store", "processor", "notifications"}


async def test_the_processor_is_stopped(rig: Rig) -> None:
    """With nobody to overwrite it, a forged header that Envoy keeps steers."""
    await rig.sandbox.stop("extproc")
    try:

        async def noticed() -> bool:
            return ("envoy", "clusters") in bad(await rig.doctor("envoy"))

        await until(noticed)
        examined = await rig.doctor()
        async with without_strip(rig) as edited:
            forged = await rig.doctor("steering", envoy=edited)
    finally:
        await rig.sandbox.start("extproc")
    assert "does not answer" in the(examined, "processor", "ready").text
    assert "no processor" in the(examined, "steering", "decision").text
    assert ("steering", "answers") not in bad(examined)
    assert ("steering", "answers") in bad(forged)
    assert any("steered a listing to the secondary" in finding.text for finding in forged[0].findings)
