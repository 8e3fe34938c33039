"""aiohttp's server, but for what it does with a request that cannot be read, and with one that does not end.

It would log the error with the line that it could not read, a token or a secret in it. And the request may have been
the copy of a write: Envoy passed on what this server's parser refuses. One before it may have been, too: of what
arrives together, the parser gives nothing when it cannot read all.

It bounds each line and their number, 128, but neither all of them together nor the time that they take. So here

1. the head of a request is bounded in all, and in time from its first byte. What waits behind a request that is not
   answered yet counts as head;
2. connections are bounded. One too many is not refused, for it may bring a copy: the longest silent one goes;
3. whatever is closed unread may have been the copy of a write, and is told like a request that cannot be read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import BadStatusLine
from yarl import URL

from extproc.telemetry.seldom import Seldom

log = structlog.get_logger()

_COPIES: Final = (b"PUT ", b"DELETE ")
_OVERLAP: Final = max(map(len, _COPIES)) - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Of connections and what comes over each; times in seconds."""

    head: int = 128 * 1024
    """Bytes of a request's head, also of one line of it. Envoy lets through 60 KiB of names and values in 100 fields
    (bootstrap/listener.py). A copy has 4 bytes more for each and 0.5 KiB of Envoy's own fields, and the client's host
    twice (`x-forwarded-host`, `x-envoy-original-host`) where a site has its own."""
    head_within: float = 10.0
    """From its first byte to its end; Envoy writes a copy's at once."""
    body_within: float = 10.0
    """For the rest of a body, once the request is answered."""
    idle: float = 120.0
    """Without a request. Envoy closes after 30 s, a registry (Go's client) after 90: they must be first, for what is
    sent into a connection that closes is lost."""
    connections: int = 512


class _Connection(web.RequestHandler):
    """One connection's requests."""

    def __init__(self, manager: Listener, limits: Limits, **options: Any) -> None:
        super().__init__(
            manager,
            max_line_size=limits.head,
            max_field_size=limits.head,
            lingering_time=limits.body_within,
            keepalive_timeout=limits.idle,
            **options,
        )
        self._listener = manager
        self._limits = limits
        self._body: StreamReader | None = None
        """Of the request that was read last."""
        self._held = 0
        """Bytes that came and belong to no body, since a head was last complete and nothing waited before it."""
        self._deadline: asyncio.TimerHandle | None = None
        """While a head is not complete."""
        self._tail = b""
        self._has_copy = False

    def data_received(self, data: bytes) -> None:
        self._listener.heard(self)
        if not self._has_copy:
            seen = self._tail + data
            self._has_copy = any(start in seen for start in _COPIES)
            self._tail = seen[-_OVERLAP:]
        in_body = self._body is not None and not self._body.is_eof()
        known = self._request_count
        super().data_received(data)
        complete = self._request_count > known
        if complete:
            self._body = self._messages[-1][1]
            self._forget_deadline()
        waiting = len(self._messages) > 1
        if complete and not waiting:
            self._held = 0
        elif waiting or not in_body:
            self._held += len(data)
        if self._held > self._limits.head:
            self.shut("its head is too large")
        elif data and not (complete or in_body or self._upgraded or self._deadline is not None):
            # What follows the wish for an upgrade is read once that was declined.
            self._deadline = self._loop.call_later(self._limits.head_within, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def shut(self, fault: str) -> None:
        """Close now, whatever is under way, and say so."""
        self._forget_deadline()
        self._listener.closed_unread(fault)
        self.force_close()

    def _late(self) -> None:
        self.shut("its head did not come in time")

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            self._listener.failed(exc)
        else:
            # A line that is not HTTP came from no Envoy, unless a copy stands before it.
            copy = self._has_copy or not isinstance(exc, BadStatusLine)
            self._listener.closed_unread(type(exc).__name__, copy=copy)
        response = web.Response(status=status)
        response.force_close()
        return response


class Listener(web.Server):
    """`on_unreadable` is called for each request that may have been a copy and was not read: its head is HTTP, but
    refused or not complete, or its connection was one too many."""

    def __init__(
        self,
        handler: Any,
        on_unreadable: Callable[[], None],
        limits: Limits,
        seldom: Seldom | None = None,
        **options: Any,
    ) -> None:
        """`options`: those of aiohttp's server."""
        super().__init__(handler, request_factory=self._request, **options)
        self._on_unreadable = on_unreadable
        self._limits = limits
        self._seldom = seldom or Seldom()
        self._options = options
        self._by_silence: OrderedDict[web.RequestHandler, None] = OrderedDict()
        """Open connections, the one that was silent longest first."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._limits, loop=self._loop, **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._by_silence[handler] = None
        if len(self._by_silence) > self._limits.connections:
            silent, _ = self._by_silence.popitem(last=False)
            if isinstance(silent, _Connection):
                silent.shut("too many connections")

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._by_silence.pop(handler, None)
        super().connection_lost(handler, exc)

    def heard(self, handler: web.RequestHandler) -> None:
        """Something came over it."""
        if handler in self._by_silence:
            self._by_silence.move_to_end(handler)

    def closed_unread(self, fault: str, *, copy: bool = True) -> None:
        """A request was not read; it may have been a `copy`."""
        left_out = self._seldom.left_out(fault)
        if left_out is not None:
            log.warning("a request at the admin address cannot be read", fault=fault, left_out=left_out)
        if copy:
            self._on_unreadable()

    def failed(self, exc: BaseException | None) -> None:
        left_out = self._seldom.left_out(type(exc).__name__)
        if left_out is not None:
            log.error("an admin request failed by a fault of ours", exc_info=exc, left_out=left_out)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        # Of a CONNECT without a target aiohttp's parser gives no path, which neither its request nor we expect: the
        # connection would stay without an answer.
        if message.path is None:
            message = message._replace(path="", url=URL())
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)
