"""The status page's addresses.

GET /                    what is served where, now and in the last hour
GET /feed                the parts of it that changed, as server-sent events
GET /names?q=part        names with that in them
GET /names/<name>        all that is held of one
GET /explain?request=…   what would happen to a request; with &anonymous=1 without a token
GET /assets/…            style, script, icon
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from extproc.admin.server import Page
from extproc.admin.turn import TooMany, Turn
from extproc.evidence.fault import fault
from extproc.evidence.store import StoreUnavailable
from extproc.explain import Explanation, RequestUnclear, request_of
from extproc.oci.reference import Name, ReferenceInvalid
from extproc.page.feed import CONTENT_TYPE, Reader
from extproc.page.meaning import meaning
from extproc.page.watch import Watch
from extproc.page.writing import Writing

FRONT: Final = "/"
FEED: Final = "/feed"
NAMES: Final = "/names"
NAME: Final = "/names/"
EXPLAIN: Final = "/explain"
ASSETS: Final = "/assets/"

_READERS: Final = 16
"""Of the feed at once."""
_WRITTEN_WITHIN: Final = 30.0
"""Seconds that a reader may take for an event."""
_MOST: Final = 50
"""Names found, and rows of a table."""
_LONGEST: Final = 1000
"""Characters of what is asked."""
_TYPES: Final = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_ALWAYS: Final = {
    # Nothing but ours is loaded, whatever a repository is called.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Known(Protocol):
    """What is held, as documents."""

    async def name(self, name: Name) -> Mapping[str, Any]:
        """Raises StoreUnavailable."""

    async def names(self, part: str, most: int) -> Mapping[str, Any]:
        """Raises StoreUnavailable."""


Explain = Callable[[str, str, bool], Awaitable[Explanation]]
"""Method, path, and whether without a token."""


class Pages:
    """Answers the requests for them."""

    def __init__(self, watch: Watch, writing: Writing, known: Known, explain: Explain, turn: Turn) -> None:
        self._watch = watch
        self._writing = writing
        self._known = known
        self._explain = explain
        self._turn = turn
        self._readers = 0
        self._closing = asyncio.Event()
        self._version = -1
        self._parts: Mapping[str, str] = {}

    def all(self) -> dict[str, Page]:
        """By their paths, for the admin server."""
        pages: dict[str, Page] = {
            FRONT: self._front,
            NAMES: self._names,
            NAME: self._name,
            EXPLAIN: self._explained,
            ASSETS: self._asset,
            FEED: self._feed,
        }
        return {path: _read_only(page) for path, page in pages.items()}

    def close(self) -> None:
        """The feeds end, so that the server can."""
        self._closing.set()

    async def _front(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._watch.looking():
            now = self._watch.snapshot()
        return _html(await asyncio.to_thread(self._writing.front, now))

    async def _names(self, request: web.BaseRequest) -> web.StreamResponse:
        query = _asked(request, "q")
        found: Mapping[str, Any] | None = None
        trouble = ""
        try:
            found = await self._turn.of(("names", query), lambda: self._known.names(query.lower(), _MOST))
        except StoreUnavailable as error:
            trouble = f"The store does not answer: {fault(error)}"
        except TooMany as error:
            trouble = f"{error}."
        text = await asyncio.to_thread(
            self._writing.page, "names", query=query, found=found, fault=trouble, request=""
        )
        return _html(text, 503 if trouble else 200)

    async def _name(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = request.path.removeprefix(NAME)
        found: Mapping[str, Any] | None = None
        status, trouble = 200, ""
        try:
            name = Name(asked)
            found = await self._turn.of(("name", name), lambda: self._known.name(name))
            status = 200 if found["held"] else 404
        except ReferenceInvalid as error:
            status, trouble = 400, str(error)
        except StoreUnavailable as error:
            status, trouble = 503, f"The store does not answer: {fault(error)}"
        except TooMany as error:
            status, trouble = 503, f"{error}."
        text = await asyncio.to_thread(
            self._writing.page, "name", name=asked, found=found, fault=trouble, request="", query="", MOST=_MOST
        )
        return _html(text, status)

    async def _explained(self, request: web.BaseRequest) -> web.StreamResponse:
        asked, anonymous = _asked(request, "request"), request.query.get("anonymous") == "1"
        words: list[tuple[str, str]] = []
        reason: str | None = None
        status, trouble = 200, ""
        if asked:
            try:
                method, path = request_of(asked.split())
                found = await self._turn.of(
                    ("explain", method, path, anonymous), lambda: self._explain(method, path, anonymous)
                )
                words = [(head, text.strip()) for head, _, text in (line.partition(" ") for line in found.words)]
                reason = found.reason
            except (ReferenceInvalid, RequestUnclear) as error:
                status, trouble = 400, str(error)
            except TooMany as error:
                status, trouble = 503, f"{error}."
        text = await asyncio.to_thread(
            self._writing.page,
            "explain",
            request=asked,
            anonymous=anonymous,
            found=words,
            reason=reason,
            meaning=meaning(reason or ""),
            fault=trouble,
            query="",
        )
        return _html(text, status)

    async def _asset(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.removeprefix(ASSETS)
        if name not in _TYPES:
            return web.Response(status=404)
        content = files("extproc.page").joinpath("assets", name).read_bytes()
        headers = _ALWAYS | {"Cache-Control": "max-age=300"}
        return web.Response(body=content, content_type=_TYPES[name], charset="utf-8", headers=headers)

    async def _feed(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._readers >= _READERS or self._closing.is_set():
            return web.Response(status=503, headers={"Retry-After": "10"})
        answer = web.StreamResponse(headers=_ALWAYS | {"Content-Type": CONTENT_TYPE})
        if request.method == "HEAD":
            return answer
        self._readers += 1
        closing = asyncio.create_task(self._closing.wait())
        try:
            with self._watch.looking(), suppress(ClientConnectionResetError, TimeoutError):
                await answer.prepare(request)
                reader, version = Reader(), -1
                while not closing.done():
                    changed = asyncio.create_task(self._watch.changed(version))
                    await asyncio.wait({changed, closing}, return_when=asyncio.FIRST_COMPLETED)
                    if not changed.done():
                        changed.cancel()
                        break
                    version = changed.result()
                    event = reader.event(await self._parts_of(version))
                    # Who takes nothing any more makes room for others.
                    async with asyncio.timeout(_WRITTEN_WITHIN):
                        await answer.write(event)
        finally:
            closing.cancel()
            self._readers -= 1
        return answer

    async def _parts_of(self, version: int) -> Mapping[str, str]:
        """Written once for all readers."""
        if self._version < version:

            async def write() -> Mapping[str, str]:
                return await asyncio.to_thread(self._writing.parts, self._watch.snapshot())

            self._parts = await self._turn.of(("parts", version), write)
            self._version = version
        return self._parts


def _read_only(page: Page) -> Page:
    async def guarded(request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        return await page(request)

    return guarded


def _asked(request: web.BaseRequest, name: str) -> str:
    return request.query.get(name, "").strip()[:_LONGEST]


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8", status=status, headers=_ALWAYS)
