"""The admin HTTP server (aiohttp).

GET /livez              200 while the process runs
GET /readyz             200 when it can decide; a store that is away is "degraded", not unready
PUT, DELETE /v2/…       the copy of a write that no worker saw, answered 202
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

from aiohttp import web

from extproc.settings import Endpoint


@dataclass(frozen=True, slots=True)
class Health:
    """What `/readyz` tells."""

    ready: bool
    store: str
    """"ok" or "degraded": without its store every read goes to the primary, which is no reason to restart."""
    workers: int
    """Workers that serve now."""


class UnseenSink(Protocol):
    """Takes the copy of one write."""

    async def take(self, method: str, path: str) -> None: ...


class AdminError(Exception):
    """The admin address cannot be listened on; the message names it and the remedy."""


class AdminServer:
    """Bound to one address; start and stop it once."""

    def __init__(self, address: Endpoint, health: Callable[[], Health], unseen: UnseenSink) -> None:
        self._address = address
        self._health = health
        self._unseen = unseen
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises AdminError."""
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        for method in ("PUT", "DELETE"):
            application.router.add_route(method, "/v2/{rest:.*}", self._mirrored)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise AdminError(
                f"cannot listen on admin.address {self._address}: {error.strerror}; "
                "stop the program that has it or choose another port"
            ) from error

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        health = self._health()
        return web.json_response(asdict(health), status=200 if health.ready else 503)

    async def _mirrored(self, request: web.Request) -> web.Response:
        await self._unseen.take(request.method, request.raw_path)
        return web.Response(status=202)
