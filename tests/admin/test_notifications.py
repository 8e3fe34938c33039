"""The endpoint over real sockets: who may tell, in what form, how much, how slowly; and when it is acknowledged."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import structlog

from extproc.admin.notifications import NotificationEndpoint
from extproc.admin.server import AdminServer, Health
from extproc.evidence.store import StoreUnavailable
from extproc.notification.envelope import parse_envelope
from extproc.notification.event import Action, Event, Site
from extproc.notification.secret import Secret
from extproc.settings import Endpoint
from extproc.telemetry.seldom import Seldom
from tests.notification.envelopes import D1, V1, V2, captured, envelope, event
from tests.support.clock import Clock
from tests.support.ports import free_port

SECRET = "s3cret-s3cret"
RIGHT = {"Authorization": SECRET, "Content-Type": V1}
BODY = envelope(event("delete", digest=D1), event("pull"))


@dataclass
class Told:
    """A server with the endpoint, and what came through."""

    secret: Secret | None = field(default_factory=lambda: Secret((SECRET.encode(),)))
    max_body: int = 100_000
    body_within: float = 10.0
    away: bool = False
    hold: asyncio.Event | None = None
    taken: list[tuple[Site, list[Action]]] = field(default_factory=list)
    under_way: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    """Sixteen are being taken."""
    statuses: Counter[tuple[Site, int]] = field(default_factory=Counter)
    copies: list[tuple[str, str]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    clock: Clock = field(default_factory=Clock)

    async def take(self, site: Site, events: Sequence[Event]) -> None:
        self.under_way += 1
        if self.under_way == 16:
            self.full.set()
        if self.hold is not None:
            await self.hold.wait()
        self.under_way -= 1
        if self.away:
            raise StoreUnavailable("redis://store: refused")
        self.taken.append((site, [each.action for each in events]))

    def refused(self, site: Site, status: int) -> None:
        self.statuses[site, status] += 1

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[aiohttp.ClientSession]:
        told = self

        class Copies:
            async def take(self, method: str, path: str) -> None:
                told.copies.append((method, path))

            async def unreadable(self) -> None:
                raise AssertionError("every request here can be read")

        endpoint = NotificationEndpoint(
            self,
            secret=self.secret,
            max_body=self.max_body,
            refusals=self,
            body_within=self.body_within,
            seldom=Seldom(5.0, self.clock),
        )
        server = AdminServer(
            Endpoint(host="127.0.0.1", port=self.port),
            lambda: Health(True, "ok", 1),
            Copies(),
            {"/notifications/primary": endpoint.primary, "/notifications/secondary": endpoint.secondary},
        )
        await server.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:
                yield session
        finally:
            await server.stop()

    async def raw(self, head: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        """Status and fields of the answer to a request that is written as it is; the connection stays open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
            status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
            fields = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(": ")
                fields[name.lower()] = value
            return status, fields
        finally:
            writer.close()
            await writer.wait_closed()


async def post(
    session: aiohttp.ClientSession, body: Any = BODY, site: str = "primary", **headers: str
) -> tuple[int, Any]:
    sent = {**RIGHT, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with session.post(f"/notifications/{site}", data=body, headers=sent) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


@pytest.mark.parametrize("site", list(Site))
@pytest.mark.parametrize("content_type", [V1, V2, "application/json", f"{V1}; charset=utf-8", V1.upper()])
@pytest.mark.parametrize("authorization", [SECRET, f"Bearer {SECRET}"])
async def test_events_are_taken(site: Site, content_type: str, authorization: str) -> None:
    told = Told()
    async with told.serving() as session:
        answer = await post(session, site=site.value, Content_Type=content_type, Authorization=authorization)
    assert answer == (200, {"taken": 2})
    assert told.taken == [(site, [Action.DELETE, Action.PULL])]
    assert not told.statuses


async def test_what_a_registry_sent_is_taken_with_an_unknown_length_too() -> None:
    told = Told()
    body = captured("push_manifest_by_tag")

    async def chunks() -> AsyncIterator[bytes]:
        for first in range(0, len(body), 100):
            yield body[first : first + 100]

    async with told.serving() as session:
        assert await post(session, chunks()) == (200, {"taken": 1})


# Who may tell


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param([], id="none"),
        pytest.param([""], id="empty"),
        pytest.param(["wrong"], id="wrong"),
        pytest.param(["Basic " + SECRET], id="another scheme"),
        pytest.param([SECRET, SECRET], id="twice right"),
        pytest.param(["wrong", SECRET], id="wrong and right"),
    ],
)
@pytest.mark.parametrize("site", list(Site))
async def test_without_the_secret_nothing_is_read(site: Site, authorization: list[str]) -> None:
    told = Told()
    fields = "".join(f"\nauthorization: {value}" for value in authorization)
    async with told.serving():
        # The body never comes: the answer does all the same.
        status, answer = await told.raw(
            f"POST /notifications/{site.value} HTTP/1.1\nhost: a\ncontent-type: {V1}\ncontent-length: 5000{fields}"
        )
    assert (status, answer["content-length"], answer["www-authenticate"]) == (401, "0", "Bearer")
    assert (told.taken, dict(told.statuses)) == ([], {(site, 401): 1})


async def test_without_a_configured_secret_the_remedy_is_named() -> None:
    told = Told(secret=None)
    async with told.serving() as session:
        status, answer = await post(session)
    assert status == 403
    assert "set notifications.secret_file" in answer["error"]
    assert told.taken == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "OPTIONS"])
async def test_other_methods(method: str) -> None:
    told = Told()
    async with told.serving() as session, session.request(method, "/notifications/primary", headers=RIGHT) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert told.taken == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_put_and_delete_stay_copies_of_writes(method: str) -> None:
    told = Told()
    async with told.serving() as session, session.request(method, "/notifications/primary", data=BODY) as answer:
        assert answer.status == 202
    assert (told.copies, told.taken) == ([(method, "/notifications/primary")], [])


@pytest.mark.parametrize(
    "path", ["/notifications", "/notifications/", "/notifications/tertiary", "/notifications/primary/"]
)
async def test_other_paths(path: str) -> None:
    told = Told()
    async with told.serving() as session, session.post(path, data=BODY, headers=RIGHT) as answer:
        assert answer.status == 404
    assert told.taken == []


# In what form


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        pytest.param(BODY, {"Content_Type": "text/plain"}, 415, "the content type is none of", id="content type"),
        pytest.param(BODY, {"Content_Type": ""}, 415, "the content type is none of", id="no content type"),
        pytest.param(
            BODY,
            {"Content_Type": "application/vnd.docker.distribution.events.v3+json"},
            415,
            "the content type is none of",
            id="a later version",
        ),
        pytest.param(
            gzip.compress(b" " * 50_000_000),
            {"Content_Encoding": "gzip"},
            415,
            "the body is compressed",
            id="compressed",
        ),
        pytest.param(b"[]", {}, 400, "the body has no list `events`", id="no envelope"),
        pytest.param(
            envelope(event("delete", digest=D1), event("push", tag="-")),
            {},
            400,
            "event 1: target.tag '-' is not a tag",
            id="one bad event: nothing is applied",
        ),
    ],
)
async def test_what_is_refused_says_why(body: bytes, headers: dict[str, str], status: int, reason: str) -> None:
    told = Told()
    async with told.serving() as session:
        found, answer = await post(session, body, **headers)
    assert found == status
    assert answer["error"].startswith(reason)
    assert (told.taken, dict(told.statuses)) == ([], {(Site.PRIMARY, status): 1})


async def test_a_refusal_is_one_line_without_the_body_and_the_secret() -> None:
    told = Told()
    private = {**event("push", tag="-"), "actor": {"user": "eyJ-a-token"}}
    with structlog.testing.capture_logs() as lines:
        async with told.serving() as session:
            await post(session, envelope(private))
            await post(session, Authorization="wrong-secret")
    assert [(line["event"], line["site"], line["status"]) for line in lines] == [
        ("notification refused", "primary", 400),
        ("notification refused", "primary", 401),
    ]
    assert not any(word in str(lines) for word in ("eyJ-a-token", SECRET, "wrong-secret"))


async def test_of_refusals_of_one_kind_there_is_one_line_in_a_while() -> None:
    told = Told()
    with structlog.testing.capture_logs() as lines:
        async with told.serving() as session:
            for _ in range(3):
                await post(session, Authorization="wrong")
            for body in (b"[]", b"{"):
                await post(session, body)
            await post(session, Authorization="wrong", site="secondary")
            told.clock.advance(5.0)
            await post(session, Authorization="wrong")
            await post(session, b"[]")
    assert [(line["site"], line["status"], line["left_out"]) for line in lines] == [
        ("primary", 401, 0),
        ("primary", 400, 0),
        ("secondary", 401, 0),
        ("primary", 401, 2),
        ("primary", 400, 1),
    ]
    assert told.statuses == {(Site.PRIMARY, 401): 4, (Site.PRIMARY, 400): 3, (Site.SECONDARY, 401): 1}


async def test_what_takes_long_to_read_is_read_beside_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    beside: list[bool] = []

    def parse(body: bytes) -> Sequence[Event]:
        beside.append(threading.current_thread() is not threading.main_thread())
        return parse_envelope(body)

    monkeypatch.setattr("extproc.admin.notifications.parse_envelope", parse)
    told = Told(max_body=1 << 20)
    async with told.serving() as session:
        for size in (0, 500_000):
            assert await post(session, BODY.ljust(size)) == (200, {"taken": 2})
        status, answer = await post(session, b"[]".ljust(500_000))
    assert (status, answer) == (400, {"error": "the body has no list `events`"})
    assert beside == [False, True, True]


# How much, how slowly, how many


@pytest.mark.parametrize(
    ("length", "chunks"),
    [
        pytest.param("content-length: 100001", 0, id="told"),
        pytest.param("transfer-encoding: chunked", 2, id="not told"),
    ],
)
async def test_a_body_that_is_too_large(length: str, chunks: int) -> None:
    told = Told()
    body = b"%x\r\n" % 60_000 + b" " * 60_000 + b"\r\n"
    head = f"POST /notifications/primary HTTP/1.1\nhost: a\ncontent-type: {V1}\nauthorization: {SECRET}\n{length}"
    async with told.serving():
        # No end: at the cap it is refused.
        status, answer = await told.raw(head, body * chunks)
    assert (status, answer["connection"]) == (413, "close")
    assert told.taken == []


async def test_a_body_of_just_the_cap() -> None:
    told = Told(max_body=2000)
    async with told.serving() as session:
        assert (await post(session, BODY.ljust(2000)))[0] == 200
        assert (await post(session, BODY.ljust(2001)))[0] == 413


async def test_a_body_that_comes_too_slowly() -> None:
    told = Told(body_within=0.05)
    head = f"POST /notifications/primary HTTP/1.1\nhost: a\ncontent-type: {V1}\nauthorization: {SECRET}"
    async with told.serving():
        status, answer = await told.raw(f"{head}\ncontent-length: 500", b'{"events":[')
    assert (status, answer["connection"]) == (408, "close")


async def test_a_sender_that_goes_away_is_no_fault_of_ours() -> None:
    told = Told()
    head = f"POST /notifications/primary HTTP/1.1\nhost: a\ncontent-type: {V1}\nauthorization: {SECRET}"
    with structlog.testing.capture_logs() as lines:
        async with told.serving():
            _, writer = await asyncio.open_connection("127.0.0.1", told.port)
            writer.write(f"{head}\ncontent-length: 500\n\n".replace("\n", "\r\n").encode() + b'{"events":[')
            await writer.drain()
            writer.close()
            while not lines:  # noqa: ASYNC110 - the server's side of a socket
                await asyncio.sleep(0)
    assert [(line["log_level"], line["reason"]) for line in lines] == [("warning", "the body broke off")]
    assert (told.taken, dict(told.statuses)) == ([], {(Site.PRIMARY, 400): 1})


async def test_too_many_at_once_are_to_come_again() -> None:
    told = Told(hold=asyncio.Event())
    assert told.hold is not None
    async with told.serving() as session:
        posts = [asyncio.create_task(post(session)) for _ in range(16)]
        await told.full.wait()
        status, _ = await post(session)
        assert status == 503
        told.hold.set()
        assert {status for status, _ in await asyncio.gather(*posts)} == {200}
        assert (await post(session))[0] == 200


# When it is acknowledged


async def test_nothing_is_acknowledged_before_it_is_taken() -> None:
    told = Told(hold=asyncio.Event(), max_body=10_000)
    assert told.hold is not None
    async with told.serving() as session:
        sending = asyncio.create_task(post(session))
        assert (await post(session, Authorization="wrong"))[0] == 401  # a whole exchange later
        while not told.under_way:  # noqa: ASYNC110 - the server's side of a socket
            await asyncio.sleep(0)
        assert not sending.done()
        told.hold.set()
        assert await sending == (200, {"taken": 2})


async def test_what_the_store_did_not_take_is_to_come_again() -> None:
    told = Told(away=True)
    async with told.serving() as session:
        async with session.post("/notifications/primary", data=BODY, headers=RIGHT) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert "redis" not in await answer.text()
        told.away = False
        assert (await post(session))[0] == 200
    assert told.statuses == {(Site.PRIMARY, 503): 1}


async def test_a_sender_that_goes_away_does_not_stop_what_is_being_taken() -> None:
    told = Told(hold=asyncio.Event())
    assert told.hold is not None
    async with told.serving() as session:
        sending = asyncio.create_task(post(session))
        while not told.under_way:  # noqa: ASYNC110 - the server's side of a socket
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        told.hold.set()
        assert (await post(session))[0] == 200
    assert len(told.taken) == 2
