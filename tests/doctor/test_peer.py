from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from extproc.doctor.peer import Peer, Unreachable
from extproc.registry.session import open_session
from extproc.settings import Endpoint
from tests.doctor.replies import peer_of
from tests.registry.server import Server, scripted
from tests.support.ports import free_port


async def test_one_answer_as_it_is() -> None:
    there = web.Response(status=307, body=b'{"a": 1}', headers={"Location": "http://127.0.0.1:1/"})
    async with Server(scripted(there)) as server:
        peer = peer_of(server.url + "/", host="registry.example")
        reply = await peer.ask("GET", "/v2/%2e?x=%2F", [("X-a", "1"), ("X-a", "2"), ("X-Geo-ROUTE", "secondary")])
        await peer.close()
    assert (reply.status, reply.document(), reply.headers["Location"]) == (307, {"a": 1}, "http://127.0.0.1:1/")
    assert reply.asked <= reply.answered
    (request,) = server.requests
    assert request.raw_path == "/v2/%2e?x=%2F"
    assert request.headers["Host"] == "registry.example"
    sent = [(name.decode(), value.decode()) for name, value in request.raw_headers]
    assert [pair for pair in sent if pair[0].lower() == "x-a"] == [("X-a", "1"), ("X-a", "2")]
    assert ("X-Geo-ROUTE", "secondary") in sent


async def test_no_more_is_read_than_wanted() -> None:
    async with Server(scripted(web.Response(body=b"x" * 100_000))) as server:
        peer = peer_of(server.url)
        reply = await peer.ask("GET", "/", largest=1)
        await peer.close()
    assert reply.body == b"x"
    assert reply.document() is None


async def test_nobody_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    peer = peer_of(url)
    with pytest.raises(Unreachable, match=f"the peer at {url} does not answer: "):
        await peer.ask("GET", "/")
    await peer.close()


async def test_an_answer_that_does_not_come() -> None:
    async def silent(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(silent) as server:
        peer = peer_of(server.url, timeout=0.1)
        with pytest.raises(Unreachable, match="it took too long"):
            await peer.ask("GET", "/")
        await peer.close()


async def test_a_ca_that_cannot_be_used(tmp_path: Path) -> None:
    peer = Peer("x", "https://127.0.0.1:1", lambda: open_session("https://x", tmp_path / "no.pem"), timeout=1.0)
    with pytest.raises(Unreachable, match=r"no\.pem"):
        await peer.ask("GET", "/")
    await peer.close()


async def test_closed_without_ever_being_asked() -> None:
    await peer_of("http://127.0.0.1:1").close()


@pytest.mark.parametrize(
    ("listening", "there"),
    [("0.0.0.0:5000", "127.0.0.1:5000"), ("[::]:1", "[::1]:1"), ("10.0.0.7:80", "10.0.0.7:80"), ("a.b:1", "a.b:1")],
)
def test_where_an_address_to_listen_on_is_reached(listening: str, there: str) -> None:
    assert str(Endpoint.parse(listening).reached) == there
