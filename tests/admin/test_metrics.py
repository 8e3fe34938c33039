"""GET /metrics over real sockets: one collection at a time, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from extproc.admin.metrics import PATH, MetricsPage
from extproc.admin.server import AdminServer, Health
from extproc.settings import Endpoint
from tests.admin.test_status import Unseen
from tests.support.ports import free_port


class Collector:
    """Answers when `gate` is open."""

    def __init__(self) -> None:
        self.collected = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self) -> bytes:
        self.collected += 1
        self.begun.set()
        await self.gate.wait()
        return b"a 1.0\n"


@asynccontextmanager
async def serving(collector: Collector) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    port = free_port()
    address = Endpoint(host="127.0.0.1", port=port)
    page = MetricsPage(collector, "text/plain; version=0.0.4")
    server = AdminServer(address, lambda: Health(True, "ok", 1), Unseen(), {PATH: page})
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{port}{PATH}"
    finally:
        await server.stop()


async def test_who_asks_meanwhile_gets_the_same() -> None:
    collector = Collector()
    async with serving(collector) as (session, url):

        async def ask() -> tuple[int, bytes, str]:
            async with session.get(url) as answer:
                return answer.status, await answer.read(), answer.headers["Content-Type"]

        asked = [asyncio.create_task(ask()) for _ in range(5)]
        impatient = asyncio.create_task(ask())
        await collector.begun.wait()
        impatient.cancel()
        collector.gate.set()
        assert await asyncio.gather(*asked) == [(200, b"a 1.0\n", "text/plain; version=0.0.4")] * 5
        first = collector.collected
        await ask()
        assert collector.collected == first + 1


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_it_is_only_read(method: str) -> None:
    async with serving(Collector()) as (session, url), session.request(method, url) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
