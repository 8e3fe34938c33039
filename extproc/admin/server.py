"""The admin HTTP server (aiohttp).

GET /livez              200 while the process runs
GET /readyz             200 when it can decide; a store that is away is "degraded", not unready. `?exclude=keys`: 200
                        when a worker serves, whatever it knows: for what starts Envoy after it
PUT, DELETE anything    the copy of a write that no worker saw, answered 202 before its body is read
any other method        on the path of one of the `pages`: that page's answer (extproc/admin/notifications.py)

There is no router: it would take paths apart, and a copy counts whatever its path.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from extproc.admin.line import line
from extproc.admin.listener import Limits, Listener
from extproc.settings import Endpoint


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` tells."""

    ready: bool
    store: str
    """"ok" or "degraded": without its store every read goes to the primary, which is no reason to restart."""
    workers: int
    """Workers that serve now."""
    mode: str = "serve"
    """The rollout's mode, or "promoted"."""
    configuration: str = "ok"
    """"ok", or why the file is not in force, or what of it waits for a restart."""
    keys: str = "ok"
    """"ok", or why the issuer's keys cannot be fetched."""


class UnseenSink(Protocol):
    """Takes the copy of one write."""

    async def take(self, method: str, path: str) -> None: ...

    async def unreadable(self) -> None:
        """A request that cannot be read may have been one."""


class AdminError(Exception):
    """The admin address cannot be listened on; the message names it and the remedy."""


Page = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Answers the requests to one path, except PUT and DELETE."""

_LIMITS: Final = Limits()


class AdminServer:
    """Bound to one address; start and stop it once."""

    def __init__(
        self,
        address: Endpoint,
        health: Callable[[], Health],
        unseen: UnseenSink,
        pages: Mapping[str, Page] | None = None,
        limits: Limits = _LIMITS,
    ) -> None:
        """`pages` by their exact path; one whose path ends with a slash has all paths below it, too, but for `/`."""
        self._address = address
        self._health = health
        self._unseen = unseen
        self._pages = dict(pages or {})
        self._limits = limits
        self._runner: web.ServerRunner | None = None
        self._untold = False
        """A request could not be read, and the sink has not begun to hear of it."""
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises AdminError."""
        # Nobody's body is inflated.
        server = Listener(self._answer, self._unreadable, self._limits, access_log=None, auto_decompress=False)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise AdminError(
                f"cannot listen on admin.address {self._address}: {_reason(error)}; "
                "stop the program that has it or choose another port"
            ) from error

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _unreadable(self) -> None:
        self._untold = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        """One after another: what begins after several of them is for all of them."""
        while self._untold:
            self._untold = False
            await self._unseen.unreadable()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.method, request.raw_path.partition("?")[0]:
            case ("PUT" | "DELETE") as method, _:
                await self._unseen.take(method, request.raw_path)
                return web.Response(status=202)
            case (("GET" | "HEAD"), "/livez"):
                return line({"alive": True}, 200)
            case (("GET" | "HEAD"), "/readyz"):
                return self._ready(request.raw_path.partition("?")[2])
            case _, path if page := self._page(path):
                return await page(request)
            case _:
                return web.Response(status=404)

    def _ready(self, query: str) -> web.Response:
        health = self._health()
        match [value for name, value in parse_qsl(query) if name == "exclude"]:
            case []:
                ready = health.ready
            case ["keys"]:
                ready = health.workers > 0
            case [*others]:
                return line({"error": f"exclude {', '.join(others)!r} is unknown: only keys can be left out"}, 400)
        return line(asdict(health), 200 if ready else 503)

    def _page(self, path: str) -> Page | None:
        below = ((prefix, page) for prefix, page in self._pages.items() if prefix.endswith("/") and prefix != "/")
        return self._pages.get(path) or next((page for prefix, page in below if path.startswith(prefix)), None)


def _reason(error: OSError) -> str:
    """In the system's words: event loops and resolvers put their own around them, or a negative number."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
