"""A server that answers as a test says, and a client of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from extproc.registry.account import Account
from extproc.registry.client import RegistryClient
from extproc.registry.connect import limited
from extproc.registry.line import Line
from extproc.registry.token_source import Realm, TokenSource
from extproc.sandbox.certificates import Pair

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Server:
    """An async context manager; inside it, it listens on `url`."""

    def __init__(self, answer: Answering, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[web.BaseRequest] = []
        self._answering = answer
        self._tls = tls
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        self.url = ""

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return await self._answering(request)

    @property
    def paths(self) -> list[str]:
        """Of all requests, with their queries, as they came."""
        return [request.raw_path for request in self.requests]

    @property
    def authorizations(self) -> list[str]:
        return [request.headers.get("Authorization", "") for request in self.requests]

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def scripted(*answers: web.Response) -> Answering:
    """One answer after the other; the last for all further requests."""
    rest = list(answers)

    async def answer(request: web.BaseRequest) -> web.Response:
        chosen = rest.pop(0) if len(rest) > 1 else rest[0]
        # A response object serves once.
        return web.Response(status=chosen.status, body=chosen.body, headers=chosen.headers.copy())

    return answer


def tls_of(pair: Pair) -> ssl.SSLContext:
    """A server's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.private_key)
    return context


def unreachable(*_: Any) -> Awaitable[web.StreamResponse]:
    raise AssertionError("nobody may ask this server")


@asynccontextmanager
async def open_tokens(
    realm: str = "", *, account: Account | None = None, basic: bool = False, **options: Any
) -> AsyncIterator[TokenSource]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        tokens = TokenSource(
            Realm(realm, "container_registry") if realm else None,
            session=session,
            account=account,
            basic=basic,
            **options,
        )
        yield tokens
        await tokens.close()


@asynccontextmanager
async def open_line(url: str, tokens: TokenSource, *, timeout: float = 5.0, **options: Any) -> AsyncIterator[Line]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield Line(
            url, session=session, tokens=tokens, limiter=limited(1000), timeout=timeout, site="primary", **options
        )


@asynccontextmanager
async def open_client(
    url: str, *, realm: str = "", account: Account | None = None, timeout: float = 5.0
) -> AsyncIterator[RegistryClient]:
    async with open_tokens(realm, account=account) as tokens, open_line(url, tokens, timeout=timeout) as line:
        yield RegistryClient(line)


class Pauses:
    """A sleep that only writes down how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)
