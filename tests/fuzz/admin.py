"""The admin server from the bytes of connections: aiohttp's parser, our listener and every page, without a socket.

An input is what arrives on one connection after the other. `%%` lines part what arrives at once, a part `new` is the
end of a connection and the start of the next. What waits for a body waits until its connection ends, not for a clock.

What must hold: the server goes on, nothing raises outside a handler and no handler fails; a PUT or DELETE that is
complete is taken, with its path as it came, or all leases are void; events are taken with the secret alone; no value
of `Authorization` is answered or logged; nothing that is asked for becomes more than text of a page.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, ParamSpec, TypeVar

import structlog
from aiohttp import web

from extproc.admin import status
from extproc.admin.notifications import NotificationEndpoint
from extproc.admin.server import AdminServer, Health
from extproc.admin.status import StatusPage
from extproc.admin.turn import Turn
from extproc.explain import Explanation
from extproc.notification.event import Event
from extproc.notification.event import Site as EventSite
from extproc.notification.secret import Secret
from extproc.oci.reference import Name
from extproc.page.pages import FEED, Pages
from extproc.page.writing import Site, Writing
from extproc.settings import Endpoint
from tests.fuzz.html_text import acting
from tests.fuzz.loop import LOOP, run
from tests.page.snapshots import evidence
from tests.page.test_watch import Known
from tests.support.ports import free_port

SECRET: Final = b"the-secret-of-the-registries"
_SEPARATOR: Final = b"\n%%\n"
_MOST_PARTS: Final = 32
_TURNS: Final = 1000
"""Of the event loop: far more than anything takes that waits for nothing."""
_MAX_BODY: Final = 2000
_WRITE: Final = re.compile(rb"(PUT|DELETE) (/[!-~\x80-\xff]*) HTTP/1\.1\r\n")
_HTML: Final = re.compile(rb"<!doctype html>.*?</html>", re.DOTALL | re.IGNORECASE)
_FIGURES: Final = {**evidence(), "lag": None, "dropped": False, "leases": 0}
_AUTHORIZATION: Final = re.compile(rb"(?im)^authorization:[ \t]*([ -~]{12,}?)[ \t]*\r?$")

P = ParamSpec("P")
T = TypeVar("T")


class _AtOnce(ThreadPoolExecutor):
    """Runs what it is given here and now."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class _Told:
    """What the server passed on."""

    writes: list[tuple[str, str]] = field(default_factory=list)
    unreadable_ones: int = 0
    events: int = 0

    async def take(self, *what: Any) -> None:
        match what:
            case str() as method, str() as path:
                self.writes.append((method, path))
            case _:
                self.events += 1

    async def unreadable(self) -> None:
        self.unreadable_ones += 1


class _Reports:
    """Documents for the status page."""

    async def site(self, limit: int | None = None) -> dict[str, Any]:
        return {"store": {"available": True}, "limit": limit}

    async def name(self, name: Name) -> dict[str, Any]:
        return {"name": name, "held": True}


class _Names:
    """What is held of names. One name has everything, the others nothing."""

    async def name(self, name: Name) -> dict[str, Any]:
        tag = {"tag": "v1", "digest": "sha256:" + "b" * 64, "age": 3.0, "fresh": True, "here": "present"}
        more = {"marks": [], "awaited": [], "max_staleness": 60, "tags": [tag]}
        return {"held": name == "g/app", "figures": _FIGURES, **more}

    async def names(self, part: str, most: int) -> dict[str, Any]:
        return {"names": [("g/app", _FIGURES)] if part in "g/app" else [], "more": False}


async def _explained(method: str, path: str, anonymous: bool) -> Explanation:
    words = [f"operation  {method} {path}", "reason     tag-verified"]
    return Explanation({}, {}, None, {}, "tag-verified", words)


def _pages() -> Pages:
    writing = Writing(Site("http://here", "http://primary", "redis://r", 60.0))
    return Pages(Known().watch, writing, _Names(), _explained, Turn())


class _Events:
    """Where the endpoint's events go, and its refusals."""

    def __init__(self) -> None:
        self.told = _Told()

    async def take(self, site: EventSite, events: Sequence[Event]) -> None:
        await self.told.take(site, events)

    def refused(self, site: EventSite, status: int) -> None:
        assert 400 <= status < 600


class Copies(_Events):
    """Where copies of writes go."""

    async def take(self, *what: Any) -> None:
        await self.told.take(*what)

    async def unreadable(self) -> None:
        await self.told.unreadable()


class _Wire(asyncio.Transport):
    """A connection whose other end is the input."""

    def __init__(self, protocol: asyncio.Protocol, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.written = bytearray()
        self._protocol = protocol
        self._loop = loop
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        """The input is small."""

    def resume_reading(self) -> None:
        """As it was."""

    def get_write_buffer_size(self) -> int:
        return 0


class _Host:
    """One server for all inputs, and what is noticed of it."""

    def __init__(self) -> None:
        self.loop = LOOP.get()
        self.loop.set_default_executor(_AtOnce())
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self.faults: list[str] = []
        self._events, self._copies = _Events(), Copies()
        endpoint = NotificationEndpoint(
            self._events, secret=Secret((SECRET,)), max_body=_MAX_BODY, refusals=self._events
        )
        page = StatusPage(_Reports(), Turn())
        self._server = AdminServer(
            Endpoint(host="127.0.0.1", port=free_port()),
            lambda: Health(ready=True, store="ok", workers=2),
            self._copies,
            {
                "/notifications/primary": endpoint.primary,
                "/notifications/secondary": endpoint.secondary,
                status.PATH: page,
                status.BELOW: page,
                # The feed waits for news, of which there are none here.
                **{path: page for path, page in _pages().all().items() if path != FEED},
            },
        )
        run(self._server.start())
        # Connections are made here, not by its socket, which only the server can bind.
        runner = self._server._runner
        assert runner is not None
        assert runner.server is not None
        self._connection: Callable[[], web.RequestHandler] = runner.server

    async def stop(self) -> None:
        await self._server.stop()

    async def connection(self, parts: list[bytes]) -> tuple[_Told, bytes]:
        """What was passed on and written for what arrives on one connection."""
        told = self._events.told = self._copies.told = _Told()
        protocol = self._connection()
        wire = _Wire(protocol, self.loop)
        others = asyncio.all_tasks()
        protocol.connection_made(wire)
        (handling,) = asyncio.all_tasks() - others
        await _settled()
        for part in parts:
            if wire.is_closing():
                break
            protocol.data_received(part)
            await _settled()
        if not wire.is_closing():
            protocol.eof_received()
            await _settled()
        wire.close()
        await _settled()
        # aiohttp waits some seconds for the rest of a body that is not read, even of a connection that is gone.
        handling.cancel()
        await _settled()
        left = asyncio.all_tasks() - others
        assert not left, f"left over: {left}"
        if not handling.cancelled() and (error := handling.exception()) is not None:
            self.faults.append(repr(error))
        return told, bytes(wire.written)


def check(data: bytes) -> str:
    host = _host()
    outcomes = []
    with structlog.testing.capture_logs() as lines, _Logged() as records:
        for parts in _connections(data):
            told, written = run(host.connection(parts))
            outcomes.append(_judged(b"".join(parts), told, written))
            _nothing_leaked(b"".join(parts), written, f"{lines} {records.seen}")
        _, alive = run(host.connection([b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"]))
    assert alive.startswith(b"HTTP/1.1 200 "), "the server did not survive it"
    faults, host.faults = host.faults, []
    assert not faults, f"outside a handler: {faults}"
    assert not records.seen, f"logged by others: {records.seen}"
    assert not [line for line in lines if line["log_level"] not in {"warning", "info"}], f"a handler failed: {lines}"
    return " ".join(outcomes)


def _judged(sent: bytes, told: _Told, written: bytes) -> str:
    assert not written or written.startswith(b"HTTP/"), "no HTTP"
    assert not told.events or SECRET in sent, "events without the secret"
    for page in _HTML.findall(written):
        found = acting(page.decode())
        assert not found, f"a page has {found}"
    assert all(method in {"PUT", "DELETE"} for method, _ in told.writes)
    write = _WRITE.match(sent)
    if write is not None and b"\r\n\r\n" in sent:
        if told.writes:
            path = write[2].decode("utf-8", "surrogateescape")
            assert told.writes[0] == (write[1].decode(), path), "taken with another path"
        else:
            assert told.unreadable_ones, "a write that nobody saw"
    if told.writes:
        return "copy"
    if told.unreadable_ones:
        return "void"
    return "events" if told.events else written[9:12].decode("latin-1") or "nothing"


def _nothing_leaked(sent: bytes, written: bytes, logged: str) -> None:
    for value in _AUTHORIZATION.findall(sent):
        if sent.count(value) == 1:
            assert value not in written, "a credential is answered"
            assert value.decode("ascii") not in logged, "a credential is logged"


def _connections(data: bytes) -> list[list[bytes]]:
    found: list[list[bytes]] = [[]]
    for part in data.split(_SEPARATOR)[:_MOST_PARTS]:
        if part == b"new":
            found.append([])
        elif part:
            found[-1].append(part)
    return [parts for parts in found if parts]


class _Logged(logging.Handler):
    """What aiohttp and asyncio log by themselves, which should be nothing."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(f"{record.name}: {record.getMessage()} {record.exc_info}")

    def __enter__(self) -> _Logged:
        for name in ("aiohttp", "asyncio"):
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("aiohttp", "asyncio"):
            logging.getLogger(name).removeHandler(self)


async def _settled() -> None:
    """Until nothing is left but what waits for time or for more of the input."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("it never comes to rest")


@cache
def _host() -> _Host:
    return _Host()


def stop() -> None:
    """The server, if there is one: the next input starts another."""
    if _host.cache_info().currsize:
        run(_host().stop())
        _host.cache_clear()
