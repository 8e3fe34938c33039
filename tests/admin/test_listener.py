"""What a connection to the admin server may hold, and for how long: raw sockets on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from extproc.admin.listener import Limits, Listener
from extproc.admin.server import AdminServer, Health
from extproc.bootstrap.listener import connection_manager
from extproc.settings import Endpoint, Settings
from extproc.telemetry.seldom import Seldom
from tests.support.clock import Clock
from tests.support.ports import free_port
from tests.support.program import SITES

PUT = b"PUT /v2/g/app/manifests/latest HTTP/1.1\r\nhost: a\r\n"
PROBE = b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n"


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, request: bytes = PROBE) -> int:
        self.writer.write(request)
        return await self.answered()

    async def answered(self) -> int:
        """Status of the next answer."""
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            await self._reader.readexactly(length)
        return int(head.split()[1])

    async def closed(self) -> None:
        """Until the server closes; it answers nothing before."""
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):  # it had not read all
                assert await self._reader.read() == b""


@dataclass
class Admin:
    """A server with its limits, and what it was told."""

    limits: Limits = field(default_factory=Limits)
    hold: asyncio.Event | None = None
    """Copies are not answered before it is set, nor is what cannot be read."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    taken: int = 0
    unreadable_ones: int = 0
    port: int = field(default_factory=free_port)
    _open: list[Client] = field(default_factory=list)

    async def take(self, method: str, path: str) -> None:
        self.taken += 1
        await self._held()

    async def unreadable(self) -> None:
        self.unreadable_ones += 1
        await self._held()

    async def _held(self) -> None:
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async def page(request: web.BaseRequest) -> web.Response:
            self.begun.set()
            return web.Response(text=str(len(await request.content.read())))

        server = AdminServer(
            Endpoint(host="127.0.0.1", port=self.port),
            lambda: Health(True, "ok", 1),
            self,
            {"/page": page},
            limits=self.limits,
        )
        await server.start()
        try:
            yield
        finally:
            for client in self._open:
                client.writer.close()
            await server.stop()

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._open.append(client)
        return client

    async def past_the_deadline(self) -> None:
        """A head that is begun now is over its time, so what was begun before is too."""
        late = await self.connect()
        late.writer.write(b"G")
        await late.closed()


# How large


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"x-field: " + b"a" * 2000 + b"\r\n", id="many fields"),
        pytest.param(b"x-field: " + b"a" * 70_000 + b"\r\n", id="large fields"),
    ],
)
async def test_a_head_that_never_ends_is_not_kept(line: bytes) -> None:
    admin = Admin()
    async with admin.serving():
        client = await admin.connect()
        client.writer.write(PUT + line * (1 + 150_000 // len(line)))
        await client.closed()
        assert (admin.taken, admin.unreadable_ones) == (0, 1)


async def test_all_that_envoy_lets_through_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "geo.toml"
    file.write_text(f'auth.mode = "passthrough"\n{SITES}')
    manager = connection_manager(Settings.load(file))
    options = manager.common_http_protocol_options
    assert options is not None
    fields, kilobytes = options.max_headers_count, manager.max_request_headers_kb
    assert fields is not None
    assert kilobytes is not None
    value = b"a" * (kilobytes * 1024 // fields - 10)
    host = b"h" * (kilobytes * 1024)
    twice = b"x-forwarded-host: %s\r\nx-envoy-original-host: %s\r\n" % (host, host)
    sent = PUT + b"".join(b"x-%08d: %s\r\n" % (number, value) for number in range(fields))
    added = b"x-envoy-of-its-own: some fifty bytes more in each of them\r\n" * 20
    admin = Admin()
    async with admin.serving():
        client, other = [await admin.connect() for _ in range(2)]
        # Twice: what is complete does not count any more. And all is there before the end is.
        for head in 2 * (sent + added, PUT + twice + added):
            client.writer.write(head)
            await client.writer.drain()
            assert await other.ask() == 200
            assert await client.ask(b"\r\n") == 202
    assert (admin.taken, admin.unreadable_ones) == (4, 0)


async def test_bodies_are_no_heads() -> None:
    admin = Admin()
    async with admin.serving():
        client = await admin.connect()
        for _ in range(5):
            assert await client.ask(PUT + b"content-length: 300000\r\n\r\n" + b"a" * 300_000) == 202
            chunks = b"186a0\r\n" + b"a" * 100_000 + b"\r\n"
            assert await client.ask(PUT + b"transfer-encoding: chunked\r\n\r\n" + 3 * chunks + b"0\r\n\r\n") == 202
    assert (admin.taken, admin.unreadable_ones) == (10, 0)


async def test_what_waits_behind_a_request_is_bounded() -> None:
    admin = Admin(Limits(head=50_000), hold=asyncio.Event())
    assert admin.hold is not None
    async with admin.serving():
        client = await admin.connect()
        client.writer.write((PUT + b"x-field: " + b"a" * 40_000 + b"\r\n\r\n") * 5)
        await client.closed()
        admin.hold.set()
        assert admin.unreadable_ones == 1


async def test_requests_may_be_sent_one_behind_the_other() -> None:
    admin = Admin()
    async with admin.serving():
        client = await admin.connect()
        client.writer.write(PROBE * 10)
        assert [await client.answered() for _ in range(10)] == [200] * 10
    assert admin.unreadable_ones == 0


# How slowly


async def test_a_head_that_does_not_end_in_time() -> None:
    admin = Admin(Limits(head_within=0.05))
    async with admin.serving():
        client = await admin.connect()
        assert await client.ask() == 200
        client.writer.write(PUT)
        await client.closed()
        assert (admin.taken, admin.unreadable_ones) == (0, 1)


async def test_bytes_that_come_give_a_head_no_more_time() -> None:
    admin = Admin(Limits(head_within=0.1))
    async with admin.serving():
        client = await admin.connect()
        client.writer.write(PUT + b"x-drips: ")

        async def drip() -> None:
            while True:
                client.writer.write(b"a")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        try:
            await client.closed()
        finally:
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
        assert admin.unreadable_ones == 1


async def test_only_a_head_has_the_time_of_a_head() -> None:
    admin = Admin(Limits(head_within=0.05))
    async with admin.serving():
        silent, used, sending = [await admin.connect() for _ in range(3)]
        assert await used.ask() == 200
        sending.writer.write(b"POST /page HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n01234")
        await admin.begun.wait()
        sending.writer.write(b"56789")
        assert await used.ask() == 200
        await admin.past_the_deadline()
        assert [await client.ask() for client in (silent, used)] == [200, 200]
        assert await sending.ask(b"0123456789") == 200
        assert admin.unreadable_ones == 1  # the one that was to be late


async def test_the_time_of_a_head_is_over_with_it() -> None:
    admin = Admin(Limits(head_within=1.0))
    async with admin.serving():
        client, other = [await admin.connect() for _ in range(2)]
        client.writer.write(PUT)
        assert await other.ask() == 200
        assert await client.ask(b"\r\n") == 202
        await admin.past_the_deadline()
        assert await client.ask() == 200
    assert (admin.taken, admin.unreadable_ones) == (1, 1)


async def test_a_head_has_no_time_while_an_upgrade_is_not_declined() -> None:
    admin = Admin(Limits(head_within=0.05), hold=asyncio.Event())
    assert admin.hold is not None
    async with admin.serving():
        client, other = [await admin.connect() for _ in range(2)]
        client.writer.write(PUT + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
        await admin.begun.wait()
        client.writer.write(PROBE)
        assert await other.ask() == 200
        await admin.past_the_deadline()
        admin.hold.set()
        assert [await client.answered() for _ in range(2)] == [202, 200]
    assert (admin.taken, admin.unreadable_ones) == (1, 1)


async def test_a_body_that_does_not_end_in_time() -> None:
    admin = Admin(Limits(body_within=0.05))
    async with admin.serving():
        client = await admin.connect()
        assert await client.ask(PUT + b"content-length: 9\r\n\r\nbegin") == 202
        await client.closed()
    assert (admin.taken, admin.unreadable_ones) == (1, 0)


@pytest.mark.parametrize("requests", [0, 1])
async def test_without_requests_a_connection_ends(requests: int) -> None:
    admin = Admin(Limits(idle=0.05))
    async with admin.serving():
        client = await admin.connect()
        for _ in range(requests):
            assert await client.ask() == 200
        await client.closed()
    assert admin.unreadable_ones == 0


# How many


async def test_one_connection_too_many_ends_the_longest_silent_one() -> None:
    admin = Admin(Limits(connections=3))
    async with admin.serving():
        clients = [await admin.connect() for _ in range(3)]
        for client in (*clients, clients[0]):
            assert await client.ask() == 200
        more = await admin.connect()
        assert await more.ask() == 200
        await clients[1].closed()
        for client in (clients[0], clients[2], more):
            assert await client.ask() == 200
        assert admin.unreadable_ones == 1


async def test_places_are_given_back() -> None:
    admin = Admin(Limits(connections=2))
    async with admin.serving():
        first = await admin.connect()
        assert await first.ask() == 200
        for _ in range(5):
            other = await admin.connect()
            assert await other.ask(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n") == 200
            await other.closed()
        assert await first.ask() == 200
    assert admin.unreadable_ones == 0


# What is told


async def test_many_that_cannot_be_read_are_told_together() -> None:
    admin = Admin(hold=asyncio.Event())
    assert admin.hold is not None
    async with admin.serving():
        for _ in range(5):
            client = await admin.connect()
            assert await client.ask(PUT + b"sec-websocket-key1: a\r\n\r\n") == 400
            await admin.begun.wait()
        assert admin.unreadable_ones == 1
        admin.begun.clear()
        admin.hold.set()
        # The others came while the first was being told.
        async with asyncio.timeout(10):
            await admin.begun.wait()
    assert admin.unreadable_ones == 2


async def test_one_line_for_each_fault_in_a_while() -> None:
    async def nothing(request: web.BaseRequest) -> web.Response:
        raise NotImplementedError

    told: list[None] = []
    clock = Clock()
    listener = Listener(nothing, lambda: told.append(None), Limits(), Seldom(5.0, clock))
    with structlog.testing.capture_logs() as lines:
        for fault in ("slow", "slow", "large", "slow"):
            listener.closed_unread(fault)
        listener.failed(KeyError())
        listener.failed(KeyError())
        clock.advance(5.0)
        listener.closed_unread("slow", copy=False)
        listener.failed(KeyError())
    assert [(line["log_level"], line.get("fault"), line["left_out"]) for line in lines] == [
        ("warning", "slow", 0),
        ("warning", "large", 0),
        ("error", None, 0),
        ("warning", "slow", 2),
        ("error", None, 1),
    ]
    assert len(told) == 4
