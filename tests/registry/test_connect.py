"""What the settings become: addresses, Host headers, rates. test_real.py does the certificates."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from extproc.oci.reference import Name, Tag
from extproc.registry.connect import limited, open_registries
from extproc.registry.error import RegistryError
from extproc.settings import Settings
from tests.registry.server import Server, scripted, unreachable

APP, ONE = Name("group/app"), Tag("1")
CHALLENGED = web.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/"'})
MISSING = web.Response(status=404)


def settings_of(primary: str, secondary: str = "http://127.0.0.1:1", **tables: Any) -> Settings:
    """Passthrough, unless `auth` says otherwise."""
    sites: dict[str, Any] = {"primary": {"url": primary}, "secondary": {"url": secondary}}
    for site, table in tables.pop("sites", {}).items():
        sites[site] = {**sites.get(site, {}), **table}
    return Settings(**{"auth": {"mode": "passthrough"}, "sites": sites, **tables})


async def test_each_site_is_asked_at_its_own_address_with_its_own_host() -> None:
    async with Server(scripted(MISSING)) as primary, Server(scripted(MISSING)) as secondary:
        settings = settings_of(primary.url, secondary.url, sites={"secondary": {"host": "registry.example.com"}})
        async with open_registries(settings) as registries:
            await registries.primary.resolve(APP, ONE)
            await registries.secondary.resolve(APP, Tag("2"))
        assert primary.paths == ["/v2/group/app/manifests/1"]
        assert secondary.paths == ["/v2/group/app/manifests/2"]
        assert primary.requests[0].headers["Host"] == primary.url.removeprefix("http://")
        assert secondary.requests[0].headers["Host"] == "registry.example.com"


@pytest.mark.parametrize(
    ("host", "expected"),
    [pytest.param("", "unified.example.com:8443", id="the realm's"), pytest.param("gitlab", "gitlab", id="its own")],
)
async def test_tokens_come_from_the_issuers_site_at_the_realms_path(host: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").touch()
    async with (
        Server(scripted(web.json_response({"token": "t"}))) as issuer,
        Server(scripted(CHALLENGED, MISSING)) as primary,
    ):
        auth = {
            "realm": "https://unified.example.com:8443/jwt/auth?x=y",
            "service": "s",
            "keys": [tmp_path / "key.pem"],
        }
        settings = settings_of(primary.url, auth=auth, sites={"issuer": {"url": issuer.url, "host": host}})
        async with open_registries(settings) as registries:
            assert await registries.primary.resolve(APP, ONE) is None
        assert issuer.paths == ["/jwt/auth?x=y&service=s&scope=repository%3Agroup%2Fapp%3Apull"]
        assert issuer.requests[0].headers["Host"] == expected
        assert primary.authorizations == ["", "Bearer t"]


async def test_without_an_issuers_site_they_come_from_the_realm_and_both_registries_share_them() -> None:
    async with (
        Server(scripted(web.json_response({"token": "t", "expires_in": 300}))) as issuer,
        Server(scripted(CHALLENGED, MISSING)) as primary,
        Server(scripted(CHALLENGED, MISSING)) as secondary,
    ):
        auth = {"mode": "passthrough", "realm": f"{issuer.url}/token"}
        async with open_registries(settings_of(primary.url, secondary.url, auth=auth)) as registries:
            await registries.primary.resolve(APP, ONE)
            await registries.secondary.resolve(APP, ONE)
        assert len(issuer.requests) == 1
        assert secondary.authorizations == ["", "Bearer t"]


async def test_an_account_goes_straight_to_registries_without_an_issuer(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    account = {"username": "geo", "password_file": tmp_path / "password"}
    basic = web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
    async with Server(scripted(basic, MISSING)) as primary:
        async with open_registries(settings_of(primary.url, service_account=account)) as registries:
            await registries.primary.resolve(APP, ONE)
        assert primary.authorizations == ["", "Basic Z2VvOnNlY3JldA=="]


async def test_the_environments_proxies_and_credentials_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(unreachable) as proxy, Server(scripted(MISSING)) as primary:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_registries(settings_of(primary.url)) as registries:
            assert await registries.primary.resolve(APP, ONE) is None
        assert proxy.requests == []


async def test_cookies_are_not_kept() -> None:
    given = web.Response(status=404, headers={"Set-Cookie": "sticky=1"})
    async with Server(scripted(given)) as primary:
        # Jars keep no cookies of bare addresses anyway.
        async with open_registries(settings_of(primary.url.replace("127.0.0.1", "localhost"))) as registries:
            for _ in range(2):
                await registries.primary.resolve(APP, ONE)
        assert len(primary.requests) == 2
        assert all("Cookie" not in request.headers for request in primary.requests)


async def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    settings = settings_of("https://127.0.0.1:2", sites={"primary": {"ca": file}})
    for content in (None, "nothing"):
        if content is not None:
            file.write_text(content)
        with pytest.raises(RegistryError, match="give certificates as PEM") as caught:
            async with open_registries(settings):
                raise AssertionError
        assert str(file) in str(caught.value)


@pytest.mark.parametrize(("rate", "burst"), [(50.0, 50), (1.0, 1), (0.5, 1)])
async def test_a_rate_lets_a_seconds_worth_through_at_once(rate: float, burst: int) -> None:
    limiter = limited(rate)
    assert limiter.max_rate / limiter.time_period == rate
    for _ in range(burst):
        assert limiter.has_capacity()
        await limiter.acquire()
    assert not limiter.has_capacity()


async def test_requests_are_held_to_the_rate() -> None:
    async with Server(scripted(MISSING)) as primary:
        async with open_registries(settings_of(primary.url), rate=20) as registries:
            started = time.monotonic()
            await asyncio.gather(*(registries.primary.resolve(APP, ONE) for _ in range(26)))
            assert time.monotonic() - started >= 0.25
        assert len(primary.requests) == 26


async def test_the_timeout_is_reconciles() -> None:
    async def never(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        Server(never) as primary,
        open_registries(settings_of(primary.url, reconcile={"timeout": 0.05})) as registries,
    ):
        with pytest.raises(RegistryError, match=r"longer than 0\.05 s"):
            await registries.primary.resolve(APP, ONE)
