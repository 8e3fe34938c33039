"""Envoy's runtime follows the role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from extproc.live import role as subject
from extproc.live.role import Role
from extproc.settings import Endpoint


@dataclass
class Admin:
    """Envoy's admin interface, as far as it is asked here."""

    value: str | None = "0.0"
    status: int = 200
    text: str | None = None
    deaf: bool = False
    """Shows its runtime and takes no change."""
    told: list[str] = field(default_factory=list)
    asked: int = 0
    on_asked: Callable[[], None] = lambda: None

    async def answer(self, request: web.BaseRequest) -> web.Response:
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path == "/runtime":
            self.asked += 1
            self.on_asked()
            entries = {} if self.value is None else {"geo.promoted": {"final_value": self.value}}
            return web.json_response({"entries": entries}) if self.text is None else web.Response(text=self.text)
        assert (request.method, request.path) == ("POST", "/runtime_modify")
        if self.deaf:
            return web.Response(status=403)
        self.value = request.query["geo.promoted"]
        self.told.append(self.value)
        return web.Response(text="OK")


@asynccontextmanager
async def serving(admin: Admin) -> AsyncIterator[Endpoint]:
    runner = web.ServerRunner(web.Server(admin.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Endpoint(host="127.0.0.1", port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def kept(role: Role) -> AsyncIterator[Role]:
    task = asyncio.create_task(role.keep())
    try:
        yield role
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not true():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.01)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at once after each."""
    monkeypatch.setattr(subject, "EVERY", 0.01)


async def test_a_change_is_told_at_once_and_once() -> None:
    followed: list[str] = []
    admin = Admin()
    async with serving(admin) as endpoint:
        role = Role(endpoint, promoted=False, on_followed=lambda: followed.append(admin.value or ""))
        async with kept(role):
            await until(lambda: admin.asked == 1)
            assert (admin.told, role.word) == ([], "ok")
            for promoted, value in ((True, "100"), (False, "0"), (True, "100")):
                role.change(promoted=promoted)
                assert "has not been told yet" in role.word
                await until(lambda: role.word == "ok")
                assert admin.told[-1] == value
                role.change(promoted=promoted)
                assert role.word == "ok"
    assert admin.told == followed == ["100", "0", "100"]


@pytest.mark.parametrize("value", ["100", "100.0"])
async def test_what_is_so_already_is_not_told(soon: None, value: str) -> None:
    admin = Admin(value)
    async with serving(admin) as endpoint, kept(Role(endpoint, promoted=True)) as role:
        await until(lambda: role.word == "ok" and admin.asked > 2)
    assert admin.told == []


async def test_an_envoy_that_is_started_again_is_corrected(soon: None) -> None:
    admin = Admin()
    async with serving(admin) as endpoint, kept(Role(endpoint, promoted=True)):
        await until(lambda: admin.value == "100")
        admin.value = "0.0"
        await until(lambda: admin.value == "100")


async def test_somebody_else_who_sets_it_again_and_again_fills_no_log(soon: None) -> None:
    admin = Admin()
    with capture_logs() as logs:
        async with serving(admin) as endpoint, kept(Role(endpoint, promoted=False)) as role:
            for _ in range(5):
                told = len(admin.told)
                admin.value = "100"
                await until(lambda told=told: len(admin.told) > told)  # type: ignore[misc]
            assert [line["event"] for line in logs] == ["Envoy follows the role"]
            # What we change ourselves is always said.
            for promoted in (True, False):
                role.change(promoted=promoted)
                await until(lambda: role.word == "ok")
    assert [line["promoted"] for line in logs] == [False, True, False]


async def test_an_envoy_without_our_key_is_a_secondarys(soon: None) -> None:
    admin = Admin(None)
    async with serving(admin) as endpoint, kept(Role(endpoint, promoted=False)):
        await until(lambda: admin.asked > 2)
    assert admin.told == []


@pytest.mark.parametrize(
    ("admin", "cause"),
    [
        pytest.param(Admin(status=503), "503", id="refuses"),
        pytest.param(Admin(text="<html>"), "Expecting value", id="is something else"),
        pytest.param(Admin(value="much"), "much", id="makes no sense"),
        pytest.param(Admin(value="1e999"), "infinity", id="has no bound"),
        pytest.param(Admin(text="[]"), "not Envoy's runtime", id="is a list"),
        pytest.param(Admin(text='{"entries": []}'), "not Envoy's runtime", id="has a list"),
    ],
)
async def test_an_envoy_that_cannot_be_told_is_shown_and_logged_once(soon: None, admin: Admin, cause: str) -> None:
    async with serving(admin) as endpoint:
        with capture_logs() as logs:
            async with kept(Role(endpoint, promoted=True)) as role:
                await until(lambda: cause in role.word)
                assert role.word.startswith(f"Envoy may not follow sites.role: envoy.admin http://{endpoint}: ")
                admin.status, admin.text, admin.value = 200, None, "0"
                await until(lambda: role.word == "ok")
        assert [line["log_level"] for line in logs] == ["error", "info"]


async def test_a_secondary_whose_envoy_is_seen_to_think_otherwise_and_cannot_be_told(soon: None) -> None:
    admin = Admin("100.0", deaf=True)
    async with serving(admin) as endpoint, kept(Role(endpoint, promoted=False)) as role:
        await until(lambda: "403" in role.word)
        admin.deaf = False
        await until(lambda: role.word == "ok")
    assert admin.told == ["0"]


async def test_nobody_there(soon: None) -> None:
    """A secondary from the start misses nothing; after a change it is a fault."""
    with capture_logs() as logs:
        async with kept(Role(Endpoint(host="0.0.0.0", port=1), promoted=False)) as role:  # noqa: S104
            looked = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, looked.set)
            await looked.wait()
            assert (role.word, logs) == ("ok", [])
            role.change(promoted=True)
            await until(lambda: "envoy.admin http://127.0.0.1:1: " in role.word)
    assert len(logs) == 1


async def test_a_change_while_it_is_told_is_told_too() -> None:
    """What Envoy was told then is not taken for what it should be told now."""
    admin = Admin()
    async with serving(admin) as endpoint:
        role = Role(endpoint, promoted=True)

        def change_now() -> None:
            admin.on_asked = lambda: None
            role.change(promoted=False)

        admin.on_asked = change_now
        async with kept(role):
            await until(lambda: admin.told == ["100", "0"])
            await until(lambda: role.word == "ok")
