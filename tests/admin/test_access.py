"""Who may read the admin server's pages."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from extproc.admin.access import Readers
from extproc.admin.server import AdminServer, Health
from extproc.notification.secret import Secret
from extproc.settings import Endpoint
from tests.admin.test_server import Admin
from tests.support.ports import free_port

SECRET = "s3cret:with-colon"
ANY = Endpoint(host="0.0.0.0", port=1)  # noqa: S104 - not bound
LOOPBACK = Endpoint(host="127.0.0.1", port=1)


async def page(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="read")


@asynccontextmanager
async def serving(readers: Readers) -> AsyncIterator[str]:
    port = free_port()
    server = AdminServer(
        Endpoint(host="127.0.0.1", port=port), lambda: Health(True, "ok", 1), Admin(), {"/": readers.only(page)}
    )
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


async def ask(readers: Readers, method: str = "GET", path: str = "/", **headers: str) -> tuple[int, str]:
    """Status and challenge."""
    async with (
        serving(readers) as url,
        aiohttp.ClientSession() as client,
        client.request(method, url + path, headers=headers) as answer,
    ):
        return answer.status, answer.headers.get("WWW-Authenticate", "")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {SECRET}", 200),
        (f"bearer {SECRET}", 200),
        (basic("anybody", SECRET), 200),
        (basic("", SECRET), 200),
        (basic("anybody", SECRET).replace("Basic", "basic"), 200),
        (basic(SECRET, ""), 401),
        (basic("anybody", "wrong"), 401),
        ("Basic !!!", 401),
        ("Basic", 401),
        ("Bearer wrong", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
async def test_who_has_the_secret(authorization: str, status: int) -> None:
    readers = Readers(ANY, Secret((SECRET.encode(),)))
    found, challenge = await ask(readers, Authorization=authorization)
    assert found == status
    assert challenge == ('Basic realm="geo-extproc", charset="UTF-8"' if status == 401 else "")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/livez", 200), ("GET", "/readyz", 200)])
async def test_probes_and_copies_need_none(method: str, path: str, status: int) -> None:
    readers = Readers(ANY, Secret((SECRET.encode(),)))
    assert (await ask(readers, method, path))[0] == status
    assert (await ask(readers, "DELETE", "/v2/a/manifests/b"))[0] == 202


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9001", 200),
        ("localhost:9001", 200),
        ("LOCALHOST", 200),
        ("a.localhost", 200),
        ("[::1]:9001", 200),
        ("127.0.0.2", 200),
        ("rebound.example", 421),
        ("rebound.example:9001", 421),
        ("localhost.example", 421),
        ("10.0.0.1", 421),
        ("[::ffff:a00:1]", 421),
    ],
)
async def test_a_name_that_somebody_points_at_loopback(host: str, status: int) -> None:
    assert (await ask(Readers(LOOPBACK, None), Host=host))[0] == status


async def test_elsewhere_names_are_as_they_are() -> None:
    assert (await ask(Readers(ANY, None), Host="geo-extproc.registry.svc:9001"))[0] == 200


async def test_with_a_secret_names_do_not_count() -> None:
    readers = Readers(LOOPBACK, Secret((SECRET.encode(),)))
    assert (await ask(readers, Host="rebound.example", Authorization=f"Bearer {SECRET}"))[0] == 200
