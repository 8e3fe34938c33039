"""Asking the process that serves, over a real admin server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from extproc.admin.access import Readers
from extproc.admin.server import AdminServer, Health
from extproc.admin.status import BELOW, PATH, StatusPage
from extproc.admin.turn import Turn
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Record
from extproc.evidence.store import StoreUnavailable
from extproc.notification.secret import Secret
from extproc.oci.reference import Name
from extproc.settings import Admin, Endpoint, SettingsError
from extproc.status.reports import Reports
from extproc.status.serving import ask_serving
from tests.support.ports import free_port

APP = Name("g/app")


class Unseen:
    async def take(self, method: str, path: str) -> None:
        raise AssertionError(f"{method} {path} is no copy of a write")

    async def unreadable(self) -> None:
        raise AssertionError("every request here can be read")


@asynccontextmanager
async def serving(store: MemoryStore) -> AsyncIterator[int]:
    page = StatusPage(Reports(store, url="memory://", max_staleness=60), Turn())
    port = free_port()
    server = AdminServer(
        Endpoint(host="127.0.0.1", port=port), lambda: Health(True, "ok", 1), Unseen(), {PATH: page, BELOW: page}
    )
    await server.start()
    try:
        yield port
    finally:
        await server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104 - asked, not bound
async def test_documents(host: str) -> None:
    store = MemoryStore(absent_ttl=1)
    await store.primary_dropped(APP)
    await store.primary_dropped(Name("g/lib"))
    async with serving(store) as port:
        admin = Admin(address=Endpoint(host=host, port=port))
        site = await ask_serving(admin, None, None)
        assert (site["store"]["url"], site["evidence"]["names"]) == ("memory://", 2)
        cut = (await ask_serving(admin, None, 1))["evidence"]
        assert (cut["names"], cut["cut"]) == (1, True)
        assert (await ask_serving(admin, APP, None))["figures"]["dropped"]
        assert not (await ask_serving(admin, Name("g/unknown"), None))["held"]


async def test_a_store_that_is_away() -> None:
    class Away(MemoryStore):
        async def inspect(self, name: Name) -> Record:
            raise StoreUnavailable("gone")

    store = Away(absent_ttl=1)
    await store.primary_dropped(APP)
    async with serving(store) as port:
        admin = Admin(address=Endpoint(host="127.0.0.1", port=port))
        assert not (await ask_serving(admin, None, None))["store"]["available"]
        with pytest.raises(StoreUnavailable, match="the store is away: gone"):
            await ask_serving(admin, APP, None)


async def test_nobody_serves() -> None:
    port = free_port()
    told = rf"does not answer at http://127.0.0.1:{port}/status: .+; start it, or correct admin.address"
    with pytest.raises(StoreUnavailable, match=told):
        await ask_serving(Admin(address=Endpoint(host="127.0.0.1", port=port)), None, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param({"status": 404}, "answered 404", id="another server"),
        pytest.param({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "answered 302", id="redirect"),
        pytest.param(
            {"status": 200, "text": "{", "content_type": "application/json"}, "does not answer", id="no JSON"
        ),
    ],
)
async def test_somebody_else_serves(answer: dict[str, object], told: str) -> None:
    async def respond(_: web.BaseRequest) -> web.Response:
        return web.Response(**answer)  # type: ignore[arg-type]

    runner = web.ServerRunner(web.Server(respond))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        with pytest.raises(StoreUnavailable, match=told):
            await ask_serving(Admin(address=Endpoint(host="127.0.0.1", port=port)), None, None)
    finally:
        await runner.cleanup()


async def test_one_that_wants_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one\ntwo\n")
    page = StatusPage(Reports(MemoryStore(absent_ttl=5), url="memory://", max_staleness=60), Turn())
    port = free_port()
    address = Endpoint(host="127.0.0.1", port=port)
    pages = {PATH: Readers(address, Secret((b"one",))).only(page)}
    server = AdminServer(address, lambda: Health(True, "ok", 1), Unseen(), pages)
    await server.start()
    try:
        told = await ask_serving(Admin(address=address, secret_file=file), None, None)
        assert told["store"]["available"]
        with pytest.raises(StoreUnavailable, match=r"/status wants a secret: set admin\.secret_file"):
            await ask_serving(Admin(address=address), None, None)
        with pytest.raises(SettingsError, match=r"cannot read admin\.secret_file"):
            await ask_serving(Admin(address=address, secret_file=tmp_path / "none"), None, None)
    finally:
        await server.stop()
