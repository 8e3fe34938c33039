"""One site's HTTP: tokens, tries, bounds."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from extproc.registry.account import Account
from extproc.registry.error import Misconfigured, RegistryError, Unreachable
from extproc.registry.line import Line, codes_of
from extproc.sandbox.certificates import Authority
from tests.registry.server import Pauses, Server, open_line, open_tokens, scripted, tls_of, unreachable
from tests.support.ports import free_port

PULL = ("repository:a:pull",)
CHALLENGE = 'Bearer realm="https://evil.example.com/token",service="evil",scope="repository:a:push"'


def guarded(current: Callable[[], str], why: str = "") -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """A registry that takes one token at a time."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.headers.get("Authorization") == f"Bearer {current()}":
            return web.Response(text="content")
        told = f'{CHALLENGE},error="{why}"' if why else CHALLENGE
        body = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        return web.json_response(body, status=401, headers={"WWW-Authenticate": told})

    return answer


class Issuer:
    """Gives t1, t2 … each for five minutes."""

    def __init__(self) -> None:
        self.given = 0

    @property
    def current(self) -> str:
        return f"t{self.given}"

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.given += 1
        return web.json_response({"token": self.current, "expires_in": 300})


@asynccontextmanager
async def line_to(url: str, **options: object) -> AsyncIterator[Line]:
    """Without an issuer."""
    async with open_tokens() as tokens, open_line(url, tokens, **options) as line:  # type: ignore[arg-type]
        yield line


async def test_the_first_question_learns_that_tokens_are_wanted_and_all_others_send_theirs_along() -> None:
    issuer = Issuer()
    async with (
        Server(issuer) as auth,
        Server(guarded(lambda: issuer.current)) as registry,
        open_tokens(f"{auth.url}/jwt/auth") as tokens,
        open_line(registry.url, tokens) as line,
    ):
        assert (await line.ask("GET", "/v2/a/manifests/1", scopes=PULL)).body == b"content"
        assert (await line.ask("GET", "/v2/b/manifests/1", scopes=("repository:b:pull",))).status == 200
        assert registry.authorizations == ["", "Bearer t1", "Bearer t2"]
        assert len(auth.requests) == 2


async def test_a_cached_token_that_is_refused_is_replaced_once() -> None:
    issuer = Issuer()
    valid = "t1"
    async with (
        Server(issuer) as auth,
        Server(guarded(lambda: valid)) as registry,
        open_tokens(auth.url) as tokens,
        open_line(registry.url, tokens) as line,
    ):
        await line.ask("GET", "/v2/a/tags/list", scopes=PULL)
        valid = "t2"
        assert (await line.ask("GET", "/v2/a/tags/list", scopes=PULL)).status == 200
        assert registry.authorizations == ["", "Bearer t1", "Bearer t1", "Bearer t2"]
        valid = "none"
        with pytest.raises(RegistryError) as caught:
            await line.ask("GET", "/v2/a/tags/list", scopes=PULL)
        assert registry.authorizations[4:] == ["Bearer t2", "Bearer t3"]
        assert caught.value.status == 401


async def test_a_fresh_token_that_is_refused_ends_it_and_the_message_says_why_without_the_token() -> None:
    issuer = Issuer()
    async with (
        Server(issuer) as auth,
        Server(guarded(lambda: "none", "insufficient_scope")) as registry,
        open_tokens(auth.url) as tokens,
        open_line(registry.url, tokens) as line,
    ):
        with pytest.raises(RegistryError) as caught:
            await line.ask("GET", "/v2/a/tags/list?n=5", scopes=PULL)
        assert str(caught.value) == (
            "the primary registry, asked GET /v2/a/tags/list: it answered 401 (UNAUTHORIZED, insufficient_scope)"
        )
        assert len(registry.requests) == 2


async def test_a_password_never_goes_where_a_challenge_points(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    account = Account("geo", tmp_path / "password")
    async with Server(unreachable) as evil:
        challenge = {"WWW-Authenticate": f'Bearer realm="{evil.url}/token",service="x"'}
        async with (
            Server(Issuer()) as auth,
            Server(scripted(web.Response(status=401, headers=challenge))) as registry,
            open_tokens(auth.url, account=account) as tokens,
            open_line(registry.url, tokens) as line,
        ):
            with pytest.raises(RegistryError):
                await line.ask("GET", "/v2/", scopes=PULL)
            assert len(auth.requests) == 1
            assert all("Basic" not in value for value in registry.authorizations)
        assert evil.requests == []


async def test_basic_is_sent_where_it_is_configured_and_asked_for(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    expected = "Basic " + base64.b64encode(b"geo:secret").decode()

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.headers.get("Authorization") == expected:
            return web.Response()
        headers = {"WWW-Authenticate": 'Digest realm="x", Basic realm="registry"'}
        return web.Response(status=401, headers=headers)

    async with (
        Server(answer) as registry,
        open_tokens(account=Account("geo", tmp_path / "password"), basic=True) as tokens,
        open_line(registry.url, tokens) as line,
    ):
        assert [(await line.ask("GET", "/v2/", scopes=PULL)).status for _ in range(2)] == [200, 200]
        assert registry.authorizations == ["", expected, expected]
        (tmp_path / "password").write_text("changed!")
        with pytest.raises(
            Misconfigured, match=r"answered 401: check the service account 'geo', its password_file and"
        ):
            await line.ask("GET", "/v2/", scopes=PULL)


@pytest.mark.parametrize("challenge", [None, "Negotiate", 'Bearer realm="x', "@"])
async def test_a_401_without_a_challenge_that_we_know_is_an_error(challenge: str | None) -> None:
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    async with Server(scripted(web.Response(status=401, headers=headers))) as registry, line_to(registry.url) as line:
        with pytest.raises(RegistryError, match="401 without a challenge of Bearer or Basic"):
            await line.ask("GET", "/v2/", scopes=PULL)


@pytest.mark.parametrize(
    ("status", "after", "asked", "pauses"),
    [
        pytest.param(429, "2", 3, [2, 2], id="429"),
        pytest.param(503, "1", 3, [1, 1], id="503"),
        pytest.param(503, "0", 3, [0, 0], id="at once"),
        pytest.param(429, "4", 2, [4], id="the waits together are bounded"),
        pytest.param(429, "6", 1, [], id="longer than the timeout"),
        pytest.param(429, "99999999999999", 1, [], id="out of all bounds"),
        pytest.param(429, None, 1, [], id="not told"),
        pytest.param(429, "soon", 1, [], id="nonsense"),
        pytest.param(429, "-1", 1, [], id="negative"),
        pytest.param(429, formatdate(0, usegmt=True), 3, [0, 0], id="a date that is past"),
        pytest.param(429, "Fri, 31 Dec 9999 23:59:59 GMT", 1, [], id="a date far away"),
        pytest.param(500, "1", 1, [], id="another status"),
        pytest.param(404, "1", 1, [], id="a client's fault"),
    ],
)
async def test_retry_after_is_heeded_within_the_timeout(
    status: int, after: str | None, asked: int, pauses: list[float]
) -> None:
    headers = {} if after is None else {"Retry-After": after}
    sleep = Pauses()
    async with (
        Server(scripted(web.Response(status=status, headers=headers))) as registry,
        line_to(registry.url, sleep=sleep) as line,
    ):
        assert (await line.ask("GET", "/v2/", scopes=PULL)).status == status
        assert (len(registry.requests), sleep.taken) == (asked, pauses)


async def test_the_answer_after_the_wait_counts() -> None:
    busy = web.Response(status=503, headers={"Retry-After": "1"})
    async with (
        Server(scripted(busy, web.Response(text="there"))) as registry,
        line_to(registry.url, sleep=Pauses()) as line,
    ):
        assert (await line.ask("GET", "/v2/", scopes=PULL)).body == b"there"


@asynccontextmanager
async def raw(*replies: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends one of these to each connection, the last to all further ones, and closes it."""
    rest = list(replies)
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(rest.pop(0) if len(rest) > 1 else rest[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "first",
    [pytest.param(b"", id="closed at once"), pytest.param(WHOLE[:-1], id="cut off in the body")],
)
async def test_a_lost_connection_is_tried_once_more(first: bytes) -> None:
    async with raw(first, WHOLE) as (url, heads), line_to(url) as line:
        assert (await line.ask("GET", "/v2/", scopes=PULL)).body == b"ok"
        assert len(heads) == 2
    async with raw(first) as (url, heads), line_to(url) as line:
        with pytest.raises(Unreachable, match="it cannot be reached"):
            await line.ask("GET", "/v2/", scopes=PULL)
        assert len(heads) == 2


async def test_what_is_not_http_is_not_repeated_in_the_message() -> None:
    async with raw(b"Bearer secret\r\n\r\n") as (url, _), line_to(url) as line:
        with pytest.raises(RegistryError, match="its answer is not HTTP") as caught:
            await line.ask("GET", "/v2/", scopes=PULL)
        assert "secret" not in str(caught.value)


async def test_nobody_there() -> None:
    place = f"127.0.0.1:{free_port()}"
    async with line_to(f"http://{place}") as line:
        with pytest.raises(Unreachable) as caught:
            await line.ask("HEAD", "/v2/", scopes=PULL)
    assert str(caught.value) == (
        f"the primary registry, asked HEAD /v2/: it cannot be reached: {place}: Connection refused; "
        "start it or correct the sites.primary table"
    )


async def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with line_to("http://registry.invalid") as line:
        with pytest.raises(Unreachable, match=r"reached: registry\.invalid:80: Name or service not known; "):
            await line.ask("HEAD", "/v2/", scopes=PULL)


async def test_a_slow_answer_is_not_asked_for_again() -> None:
    async def never(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(never) as registry, line_to(registry.url, timeout=0.05) as line:
        with pytest.raises(Unreachable, match=r"it took longer than 0\.05 s"):
            await line.ask("GET", "/v2/", scopes=PULL)
        assert len(registry.requests) == 1


async def test_a_trickle_is_a_slow_answer_too() -> None:
    async def trickle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    async with Server(trickle) as registry, line_to(registry.url, timeout=0.1) as line:
        with pytest.raises(Unreachable, match="it took longer than"):
            await line.ask("GET", "/v2/", scopes=PULL)


async def test_no_redirect_is_followed() -> None:
    async with Server(unreachable) as elsewhere:
        moved = web.Response(status=307, headers={"Location": f"{elsewhere.url}/blob?signature=x"})
        async with Server(scripted(moved)) as registry, line_to(registry.url) as line:
            assert (await line.ask("HEAD", "/v2/a/blobs/x", scopes=PULL)).status == 307
        assert elsewhere.requests == []


async def test_a_body_beyond_the_bound_is_an_error_long_before_it_is_read() -> None:
    sent = 0

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            sent += 65536

    async with Server(endless) as registry, line_to(registry.url) as line:
        with pytest.raises(RegistryError, match="larger than 100000 bytes"):
            await line.ask("GET", "/v2/", scopes=PULL, largest=100_000)
    assert sent < 20_000_000


async def test_bytes_come_as_they_are_stored() -> None:
    stored = b"\x1f\x8b not really gzip"
    packed = web.Response(body=stored, headers={"Content-Encoding": "gzip"})
    async with Server(scripted(packed)) as registry, line_to(registry.url) as line:
        assert (await line.ask("GET", "/v2/", scopes=PULL)).body == stored
        assert registry.requests[0].headers["Accept-Encoding"] == "identity"


async def test_what_is_sent() -> None:
    async with (
        Server(scripted(web.Response())) as registry,
        line_to(registry.url, host="registry.example.com") as line,
    ):
        await line.ask("GET", "/v2/a/tags/list?n=5&last=a%2Fb", scopes=PULL, accept="x/y, z/w")
        request = registry.requests[0]
        assert request.raw_path == "/v2/a/tags/list?n=5&last=a%2Fb"
        assert request.headers["Host"] == "registry.example.com"
        assert request.headers["Accept"] == "x/y, z/w"
        assert request.headers["User-Agent"].startswith("geo-extproc/")
        assert "Authorization" not in request.headers


async def test_a_certificate_that_is_not_trusted_is_an_error_at_once(tmp_path: Path) -> None:
    async with (
        Server(unreachable, tls_of(Authority(tmp_path).issue("registry"))) as registry,
        line_to(registry.url) as line,
    ):
        with pytest.raises(Unreachable, match=r"it cannot be reached: .*certificate"):
            await line.ask("GET", "/v2/", scopes=PULL)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param('{"errors":[{"code":"NAME_UNKNOWN"},{"code":"DENIED"}]}', ("NAME_UNKNOWN", "DENIED"), id="two"),
        pytest.param(json.dumps({"errors": [{"code": "Bearer eyJ"}]}), (), id="no code"),
        pytest.param(json.dumps({"errors": [{"code": 7}]}), (), id="a number"),
        pytest.param(json.dumps({"errors": None}), (), id="null"),
        pytest.param(json.dumps({"errors": ["x"]}), (), id="texts"),
        pytest.param(json.dumps([]), (), id="a list"),
        pytest.param("", (), id="empty"),
        pytest.param("[" * 50_000, (), id="deep"),
    ],
)
def test_error_codes(body: str, codes: tuple[str, ...]) -> None:
    assert codes_of(body.encode()) == codes
