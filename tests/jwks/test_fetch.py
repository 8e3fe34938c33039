"""One request for the issuer's JWKS, from servers that answer well, badly, or never."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from extproc.auth.keys import KeyDocument
from extproc.jwks.fetch import LARGEST, JwksUnavailable, fetch_jwks
from extproc.registry.session import open_session
from extproc.sandbox.certificates import Authority
from tests.registry.server import Server, scripted
from tests.support.ports import free_port

BODY = b'{"keys": []}'


async def fetched(url: str, ca: Path | None = None, within: float = 5.0) -> KeyDocument:
    async with await open_session(url, ca) as session:
        return await fetch_jwks(session, url, within=within)


async def test_what_is_there() -> None:
    async with Server(scripted(web.Response(body=BODY))) as server:
        assert await fetched(f"{server.url}/keys?v=1") == KeyDocument(f"{server.url}/keys?v=1", BODY)
        assert server.paths == ["/keys?v=1"]
        assert server.authorizations == [""]


async def test_threat_no_redirect_is_followed() -> None:
    async with Server(scripted(web.Response(body=BODY))) as elsewhere:
        moved = web.Response(status=302, headers={"Location": f"{elsewhere.url}/keys"})
        async with Server(scripted(moved)) as server:
            with pytest.raises(JwksUnavailable, match="answered 302, and no redirect is followed"):
                await fetched(f"{server.url}/keys")
        assert elsewhere.requests == []


@pytest.mark.parametrize("status", [201, 204, 401, 404, 500, 503])
async def test_another_status(status: int) -> None:
    async with Server(scripted(web.Response(status=status))) as server:
        with pytest.raises(JwksUnavailable, match=f"answered {status}: correct auth.keys_url"):
            await fetched(server.url + "/keys")


async def test_threat_a_body_without_end() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:  # until the client has gone
            await response.write(b" " * 65536)
            await asyncio.sleep(0)

    async with Server(endless) as server:
        with pytest.raises(JwksUnavailable, match=f"more than {LARGEST} bytes"):
            await fetched(server.url + "/keys")


async def test_threat_a_body_that_says_how_large_it_is() -> None:
    async with Server(scripted(web.Response(body=b" " * (LARGEST + 1)))) as server:
        with pytest.raises(JwksUnavailable, match=f"more than {LARGEST} bytes"):
            await fetched(server.url + "/keys")


async def test_the_largest_that_is_taken() -> None:
    async with Server(scripted(web.Response(body=b" " * LARGEST))) as server:
        assert len((await fetched(server.url + "/keys")).content) == LARGEST


async def test_an_answer_that_does_not_end() -> None:
    async def stuck(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await asyncio.Event().wait()
        return response

    async with Server(stuck) as server:
        with pytest.raises(JwksUnavailable, match=r"did not answer within 0\.2 s"):
            await fetched(server.url + "/keys", within=0.2)


async def test_nobody_there() -> None:
    with pytest.raises(JwksUnavailable, match="cannot be fetched"):
        await fetched(f"http://127.0.0.1:{free_port()}/keys")


async def test_tls_by_its_own_authority_and_no_other(tmp_path: Path) -> None:
    ours, strange = tmp_path / "ours", tmp_path / "strange"
    ours.mkdir()
    strange.mkdir()
    authority = Authority(ours)
    pair = authority.issue("issuer")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.private_key)
    async with Server(scripted(web.Response(body=BODY)), context) as server:
        url = server.url.replace("127.0.0.1", "localhost") + "/keys"
        assert (await fetched(url, authority.file)).content == BODY
        stranger = Authority(strange)
        for ca in (None, stranger.file):
            with pytest.raises(JwksUnavailable, match="certificate verify failed"):
                await fetched(url, ca)
