"""A whole edge: Envoy on rendered settings, between a client and stand-ins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from extproc.bootstrap import render
from extproc.settings import Admin, Auth, Endpoint, Envoy, Policy, Server, Settings, Site, Sites
from tests.bootstrap.stand_in import Processor, Upstream, processor, upstream
from tests.support import envoy

NOWHERE = "http://127.0.0.1:1"
"""Refuses connections: nothing can listen on that port."""


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Any
    text: str

    @property
    def site(self) -> str | None:
        site: str | None = self.headers.get("x-geo-site")
        return site


@dataclass(frozen=True)
class System:
    envoy: envoy.Envoy
    primary: Upstream
    secondary: Upstream
    admin: Upstream
    processor: Processor | None
    client: aiohttp.ClientSession

    async def ask(self, method: str, target: str, **kwargs: Any) -> Answered:
        """`target` goes out as it is written."""
        url = URL(self.envoy.url + target, encoded=True)
        async with self.client.request(method, url, allow_redirects=False, **kwargs) as response:
            return Answered(response.status, response.headers, await response.text())

    async def raw(self, request: bytes) -> bytes:
        """Bytes to Envoy, and all of its answer. Say `connection: close`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.envoy.port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def system(
    folder: Path,
    *,
    steer: str | None = None,
    primary_url: str | None = None,
    secondary_url: str | None = None,
    primary_host: str = "",
    secondary_host: str = "",
    max_staleness: float = 60.0,
    workers: int = 1,
    dead_workers: int = 0,
    write_timeout: float = 120.0,
    concurrency: int = 2,
    **settings: Any,
) -> AsyncIterator[System]:
    """`steer` is what the processor says to every request; with None there is no processor.

    `dead_workers` are configured, but nobody is there. Other settings are those of the section `envoy`.
    """
    settings = {"health_interval": 0.1, "message_timeout": 5.0} | settings
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(upstream(name)) for name in ("primary", "secondary", "admin")]
        primary, secondary, admin = sites
        configuration = Settings(
            auth=Auth(mode="passthrough"),
            server=Server(workers=workers + dead_workers, socket_dir=folder),
            store={"url": "redis://nowhere"},  # type: ignore[arg-type]
            admin=Admin(address=Endpoint.parse(admin.url.partition("://")[2])),
            policy=Policy(write_timeout=write_timeout),
            sites=Sites(
                primary=Site(url=primary_url or primary.url, host=primary_host),
                secondary=Site(url=secondary_url or secondary.url, host=secondary_host),
            ),
            envoy=Envoy(**settings),
        )
        mind: Processor | None = None
        if steer is not None:
            sockets = [configuration.server.socket(dead_workers + number) for number in range(workers)]
            mind = await stack.enter_async_context(processor(*sockets, steer=steer))
        running = await stack.enter_async_context(
            envoy.running(render(configuration), folder, concurrency=concurrency)
        )
        client = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=False), timeout=aiohttp.ClientTimeout(total=30)
            )
        )
        yield System(running, primary, secondary, admin, mind, client)
