from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from extproc.doctor.installation import Wishes, open_installation
from extproc.doctor.peer import Unreachable
from extproc.sandbox.certificates import Authority
from tests.doctor.replies import settings_of
from tests.registry.server import Server, scripted, tls_of


async def test_the_gateway_is_where_envoy_listens(tmp_path: Path) -> None:
    async with open_installation(settings_of(tmp_path, envoy={"listen": "0.0.0.0:5001"}), Wishes()) as installation:
        assert installation.gateway.url == "http://127.0.0.1:5001"
    async with open_installation(settings_of(tmp_path), Wishes(url="http://x:1")) as installation:
        assert installation.gateway.url == "http://x:1"


async def test_its_certificate_is_known(tmp_path: Path) -> None:
    """No name of it is the address that is asked, so it is the certificate itself that is expected."""
    authority = Authority(tmp_path)
    right, wrong = authority.issue("right"), authority.issue("wrong")
    async with Server(scripted(web.Response(status=401)), tls_of(right)) as server:
        listen = server.url.removeprefix("https://")
        for pair, good in ((right, True), (wrong, False)):
            envoy = {
                "listen": listen,
                "certificate": str(pair.certificate),
                "private_key": str(pair.private_key),
            }
            async with open_installation(settings_of(tmp_path, envoy=envoy), Wishes()) as installation:
                if good:
                    assert (await installation.gateway.ask("GET", "/v2/")).status == 401
                else:
                    with pytest.raises(Unreachable, match="certificate"):
                        await installation.gateway.ask("GET", "/v2/")


async def test_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    envoy = {"certificate": "none.pem", "private_key": "none.key"}
    async with open_installation(settings_of(tmp_path, envoy=envoy), Wishes()) as installation:
        with pytest.raises(Unreachable, match=r"none\.pem.*--url"):
            await installation.gateway.ask("GET", "/v2/")


async def test_an_admin_interface_that_is_none(tmp_path: Path) -> None:
    async with Server(scripted(web.Response(text="hello"))) as server:
        settings = settings_of(tmp_path, envoy={"admin": server.url.removeprefix("http://")})
        async with open_installation(settings, Wishes()) as installation:
            with pytest.raises(Unreachable, match="answers 200 to /clusters"):
                await installation.envoy_document("/clusters?format=json")
