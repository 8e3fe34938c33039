"""GET /metrics: every process of this site in Prometheus' text format.

One page at a time: who asks meanwhile gets the same. It names no repository.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from extproc.admin.turn import Turn

PATH: Final = "/metrics"


class MetricsPage:
    """A page of the admin server."""

    def __init__(self, collect: Callable[[], Awaitable[bytes]], content_type: str) -> None:
        self._collect = collect
        self._content_type = content_type
        self._turn = Turn()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        body = await self._turn.of(PATH, self._collect)
        return web.Response(body=body, headers={"Content-Type": self._content_type})
