"""The status pages over real sockets; the reports are a stand-in that can be held up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from extproc.admin.server import AdminServer, Health
from extproc.admin.status import BELOW, PATH, StatusPage
from extproc.admin.turn import Turn
from extproc.evidence.store import StoreRefused, StoreUnavailable
from extproc.oci.reference import Name
from extproc.settings import Endpoint
from tests.support.ports import free_port


class Unseen:
    async def take(self, method: str, path: str) -> None:
        raise AssertionError(f"{method} {path} is no copy of a write")

    async def unreadable(self) -> None:
        raise AssertionError("every request here can be read")


@dataclass
class Reports:
    """Remembers what was asked; answers when `gate` is open."""

    asked: list[Name | int | None] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    available: bool = True
    error: Exception | None = None

    async def site(self, limit: int | None = None) -> dict[str, Any]:
        await self._answer(limit)
        return {"store": {"available": self.available}, "asked": len(self.asked)}

    async def name(self, name: Name) -> dict[str, Any]:
        await self._answer(name)
        return {"name": name, "held": name != "g/unknown"}

    async def _answer(self, wanted: Name | int | None) -> None:
        self.asked.append(wanted)
        await self.gate.wait()
        if self.error is not None:
            raise self.error


@dataclass
class Client:
    http: aiohttp.ClientSession
    base: str

    async def get(self, path: str, method: str = "GET") -> tuple[int, Any]:
        url = URL(self.base + path, encoded=True)
        async with self.http.request(method, url) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text and answer.content_type == "application/json" else text


@asynccontextmanager
async def serving(reports: Reports) -> AsyncIterator[Client]:
    port = free_port()
    page = StatusPage(reports, Turn())
    server = AdminServer(
        Endpoint(host="127.0.0.1", port=port), lambda: Health(True, "ok", 1), Unseen(), {PATH: page, BELOW: page}
    )
    await server.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Client(http, f"http://127.0.0.1:{port}")
    finally:
        reports.gate.set()
        await server.stop()


@pytest.fixture
async def reports() -> Reports:
    reports = Reports()
    reports.gate.set()
    return reports


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        pytest.param("/status", None, 200, id="site"),
        pytest.param("/status?limit=5", 5, 200, id="some names"),
        pytest.param("/status?x=y", None, 200, id="another query"),
        pytest.param("/status/g/app", Name("g/app"), 200, id="name"),
        pytest.param("/status/status", Name("status"), 200, id="a name like the page"),
        pytest.param("/status/g/app?limit=5", Name("g/app"), 200, id="a name has no limit"),
        pytest.param("/status/g/unknown", Name("g/unknown"), 404, id="nothing is held"),
    ],
)
async def test_a_report(reports: Reports, path: str, asked: Name | int | None, status: int) -> None:
    async with serving(reports) as client:
        found, document = await client.get(path)
        assert found == status
        assert document.get("name", asked) == asked
        assert await client.get(path, "HEAD") == (status, "")
    assert reports.asked == [asked, asked]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        pytest.param("/status/", "'' is not a repository name", id="no name"),
        pytest.param("/status/G/app", "'G/app' is not", id="upper case"),
        pytest.param("/status/g%2Fapp", "'g%2Fapp' is not", id="escaped"),
        pytest.param("/status/../livez", "'../livez' is not", id="dots"),
        pytest.param("/status?limit=0", "limit '0' is not a whole number above 0", id="limit 0"),
        pytest.param("/status?limit=-1", "limit '-1' is not", id="negative"),
        pytest.param("/status?limit=1e3", "limit '1e3' is not", id="exponent"),
        pytest.param("/status?limit=", "limit '' is not", id="empty"),
        pytest.param("/status?limit=%C2%B2", "limit '²' is not", id="superscript"),
        pytest.param("/status?limit=" + "9" * 5000, "is not a whole number", id="5,000 digits"),
    ],
)
async def test_what_cannot_be_asked(reports: Reports, path: str, part: str) -> None:
    async with serving(reports) as client:
        status, document = await client.get(path)
    assert status == 400
    assert part in document["error"]
    assert len(document["error"]) < 500
    assert reports.asked == []


@pytest.mark.parametrize("path", ["/statusx", "/status%2F", "/statu", "//status"])
async def test_other_paths(reports: Reports, path: str) -> None:
    async with serving(reports) as client:
        assert (await client.get(path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
async def test_other_methods(reports: Reports, method: str) -> None:
    async with serving(reports) as client:
        assert (await client.get("/status", method))[0] == 405
    assert reports.asked == []


async def test_a_store_that_is_away(reports: Reports) -> None:
    reports.available = False
    async with serving(reports) as client:
        assert (await client.get("/status"))[0] == 503
        reports.error = StoreUnavailable("connection refused")
        told = "the store is away: connection refused; start it or correct the store table"
        assert await client.get("/status/g/app") == (503, {"error": told})
        reports.error = StoreRefused("WRONGPASS")
        assert (await client.get("/status/g/app"))[1]["error"].startswith("the store refused us: WRONGPASS; correct")


async def until(reports: Reports, count: int) -> None:
    async with asyncio.timeout(10):
        while len(reports.asked) < count:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0)


async def waiting(turn: Turn, count: int) -> None:
    async with asyncio.timeout(10):
        while len(turn._under_way) < count:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.001)


async def test_the_same_report_is_shared_and_another_waits() -> None:
    reports = Reports()
    async with serving(reports) as client, asyncio.TaskGroup() as clients:
        same = [clients.create_task(client.get("/status")) for _ in range(20)]
        await until(reports, 1)
        other = clients.create_task(client.get("/status/g/app"))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert reports.asked == [None]
        reports.gate.set()
        assert {(await task)[0] for task in same} == {200}
        assert (await other)[0] == 200
    # Those that came later than the first one's end would have made another.
    assert reports.asked.count(Name("g/app")) == 1
    assert len(reports.asked) <= 3


async def test_the_next_one_is_new(reports: Reports) -> None:
    async with serving(reports) as client:
        assert [(await client.get("/status"))[1]["asked"] for _ in range(3)] == [1, 2, 3]


async def test_who_asked_first_may_go_away() -> None:
    reports = Reports()
    async with serving(reports) as client:
        first = asyncio.create_task(client.get("/status"))
        await until(reports, 1)
        second = asyncio.create_task(client.get("/status"))
        await asyncio.sleep(0.02)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        reports.gate.set()
        assert (await second)[0] == 200


async def test_a_fault_of_ours_is_an_answer_and_does_not_stay(reports: Reports) -> None:
    reports.error = ZeroDivisionError("a bug")
    async with serving(reports) as client:
        assert (await client.get("/status"))[0] == 500
        reports.error = None
        assert (await client.get("/status"))[0] == 200


async def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports()
    port = free_port()
    turn = Turn(waiting=3)
    page = StatusPage(reports, turn)
    server = AdminServer(
        Endpoint(host="127.0.0.1", port=port), lambda: Health(True, "ok", 1), Unseen(), {BELOW: page}
    )
    await server.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            client = Client(http, f"http://127.0.0.1:{port}")
            patient = [asyncio.create_task(client.get(f"/status/g/n{number}")) for number in range(3)]
            await waiting(turn, 3)
            status, document = await client.get("/status/g/one-more")
            assert (status, document) == (503, {"error": "too many reports are waited for; ask again"})
            reports.gate.set()
            assert {(await task)[0] for task in patient} == {200}
            assert (await client.get("/status/g/one-more"))[0] == 200
    finally:
        await server.stop()
