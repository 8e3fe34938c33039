"""aiohttp's server, but for what it does with a request that cannot be read.

It would log the error with the line that it could not read, a token or a secret in it. And the request may have been
the copy of a write: Envoy passed on what this server's parser refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadStatusLine

log = structlog.get_logger()


class _Connection(web.RequestHandler):
    """One connection's requests."""

    def __init__(self, manager: Listener, on_unreadable: Callable[[], None], **options: Any) -> None:
        super().__init__(manager, **options)
        self._on_unreadable = on_unreadable

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            log.error("an admin request failed by a fault of ours", exc_info=exc)
        else:
            log.warning("a request at the admin address cannot be read", fault=type(exc).__name__)
            # A line that is not HTTP came from no Envoy.
            if not isinstance(exc, BadStatusLine):
                self._on_unreadable()
        response = web.Response(status=status)
        response.force_close()
        return response


class Listener(web.Server):
    """`on_unreadable` is called for each request whose head is HTTP, but cannot be read."""

    def __init__(self, handler: Any, on_unreadable: Callable[[], None], **options: Any) -> None:
        """`options`: those of aiohttp's server."""
        super().__init__(handler, **options)
        self._on_unreadable = on_unreadable
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._on_unreadable, loop=self._loop, **self._options)
