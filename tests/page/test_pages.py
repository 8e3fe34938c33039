"""The status page's addresses, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from yarl import URL

from extproc.admin.server import AdminServer, Health
from extproc.admin.turn import Turn
from extproc.evidence.store import StoreUnavailable
from extproc.explain import Explanation
from extproc.oci.reference import Name
from extproc.page.pages import Pages
from extproc.page.writing import PARTS, Site, Writing
from extproc.settings import Endpoint
from tests.admin.test_server import Admin
from tests.page.snapshots import entry, evidence
from tests.page.test_watch import Known, worker
from tests.support.ports import free_port

FIGURES = {**evidence(), "lag": None, "dropped": False, "leases": 0}


@dataclass
class Held:
    """What is held of names."""

    available: bool = True
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable("connection refused")

    async def name(self, name: Name) -> Mapping[str, Any]:
        self._check()
        self.asked.append(("name", name))
        tag = {"tag": "v1", "digest": "sha256:" + "b" * 64, "age": 3.0, "fresh": True, "here": "present"}
        held = {"held": name == "g/app", "figures": FIGURES, "marks": [], "awaited": [], "max_staleness": 60}
        return {**held, "tags": [tag] * 60}

    async def names(self, part: str, most: int) -> Mapping[str, Any]:
        self._check()
        self.asked.append(("names", (part, most)))
        return {"names": [("g/app", FIGURES)] if part in "g/app" else [], "more": False}


class Site_:
    """Pages with all that they need."""

    def __init__(self) -> None:
        self.known = Known()
        self.held = Held()
        self.explained: list[tuple[str, str, bool]] = []
        writing = Writing(Site("http://here", "http://primary", "redis://r", 60.0))
        self.pages = Pages(self.known.watch, writing, self.held, self.explain, Turn())

    async def explain(self, method: str, path: str, anonymous: bool) -> Explanation:
        self.explained.append((method, path, anonymous))
        words = ["operation  GET manifest v1 of g/app", "reason     tag-verified"]
        return Explanation({}, {}, None, {}, "tag-verified", words)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Client]:
        port = free_port()
        server = AdminServer(
            Endpoint(host="127.0.0.1", port=port), lambda: Health(True, "ok", 1), Admin(), self.pages.all()
        )
        async with self.known.keeping():
            await server.start()
            try:
                async with aiohttp.ClientSession() as http:
                    yield Client(http, f"http://127.0.0.1:{port}")
            finally:
                self.pages.close()
                await server.stop()


@dataclass
class Client:
    http: aiohttp.ClientSession
    base: str

    async def get(self, path: str, method: str = "GET") -> tuple[int, str, Mapping[str, str]]:
        async with self.http.request(method, URL(self.base + path, encoded=True)) as answer:
            return answer.status, await answer.text(), answer.headers


@pytest.fixture
async def site() -> Site_:
    return Site_()


async def test_the_front_page(site: Site_) -> None:
    site.known.workers = {0: worker("a", 3, [entry()])}
    async with site.serving() as client:
        await site.known.watch.ask()
        status, text, headers = await client.get("/")
    assert status == 200
    assert "What is served where" in text
    assert '<a href="/names/g/app">g/app</a>' in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"


async def test_no_other_path_is_a_page(site: Site_) -> None:
    async with site.serving() as client:
        for path in (
            "/index.html",
            "/assets/",
            "/assets/../pages.py",
            "/assets/page.css/x",
            "//",
            "/feed/",
            "/explain/x",
        ):
            assert (await client.get(path))[0] == 404, path


async def test_pages_are_only_read(site: Site_) -> None:
    async with site.serving() as client:
        for path in ("/", "/feed", "/names", "/names/g/app", "/explain", "/assets/page.css"):
            status, _, headers = await client.get(path, "POST")
            assert (status, headers["Allow"]) == (405, "GET, HEAD"), path
            assert (await client.get(path, "HEAD"))[0] == 200, path


async def test_assets(site: Site_) -> None:
    async with site.serving() as client:
        for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
            status, text, headers = await client.get(f"/assets/{name}")
            assert (status, headers["Content-Type"].partition(";")[0], bool(text)) == (200, kind, True)


async def test_names_are_found(site: Site_) -> None:
    async with site.serving() as client:
        status, text, _ = await client.get("/names?q=APP")
        assert status == 200
        assert '<a href="/names/g/app">' in text
        assert site.held.asked == [("names", ("app", 50))]
        assert "Nothing is known of a name" in (await client.get("/names?q=zzz"))[1]
        site.held.available = False
        status, text, _ = await client.get("/names?q=app")
        assert (status, "The store does not answer" in text) == (503, True)


async def test_one_name(site: Site_) -> None:
    async with site.serving() as client:
        status, text, _ = await client.get("/names/g/app")
        assert status == 200
        assert '<a href="/explain?request=g/app%3Av1">' in text
        assert "and 10 more" in text
        assert (await client.get("/names/g/other"))[0] == 404
        status, text, _ = await client.get("/names/No%3Cscript%3E")
        assert (status, "No&lt;script&gt;" in text, "<script>" in text) == (400, True, False)
        site.held.available = False
        assert (await client.get("/names/g/app"))[0] == 503


async def test_explain(site: Site_) -> None:
    async with site.serving() as client:
        status, text, _ = await client.get("/explain?request=g/app:v1")
        assert (status, "the primary lately named" in text) == (200, True)
        assert (await client.get("/explain?request=delete+/v2/g/app/manifests/v1&anonymous=1"))[0] == 200
        assert site.explained == [
            ("GET", "/v2/g/app/manifests/v1", False),
            ("DELETE", "/v2/g/app/manifests/v1", True),
        ]
        status, text, _ = await client.get("/explain?request=one+two+three")
        assert (status, "neither METHOD /PATH nor one image reference" in text) == (400, True)
        assert (await client.get("/explain?request=Upper/Case"))[0] == 400
        assert "Give an image" in (await client.get("/explain"))[1]


async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


async def test_the_feed_sends_what_changed(site: Site_) -> None:
    async with site.serving() as client, client.http.get(client.base + "/feed") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        coming = events(answer)
        assert set(await anext(coming)) == set(PARTS)
        site.known.workers = {0: worker("a", 41, [entry()])}
        await site.known.watch.ask()
        changed = await anext(coming)
        while "last" not in changed:
            changed = await anext(coming)
        assert "behind" not in changed, "what is as it was is not sent again"


async def test_so_many_read_the_feed_and_no_more(site: Site_) -> None:
    async with site.serving() as client:
        answers = [await client.http.get(client.base + "/feed") for _ in range(16)]
        assert {answer.status for answer in answers} == {200}
        async with client.http.get(client.base + "/feed") as another:
            assert (another.status, another.headers["Retry-After"]) == (503, "10")
        answers[0].close()
        async with asyncio.timeout(20):
            while True:
                async with client.http.get(client.base + "/feed") as another:
                    if another.status == 200:
                        break
                # The next thing that is said tells that one has gone.
                await site.known.watch.ask()
        for answer in answers:
            answer.close()


async def test_the_end_ends_the_feed(site: Site_) -> None:
    async with site.serving() as client:
        answer = await client.http.get(client.base + "/feed")
        site.pages.close()
        async with asyncio.timeout(10):
            await answer.read()
        assert (await client.get("/feed"))[0] == 503
