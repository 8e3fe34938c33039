"""A whole edge: Envoy on rendered settings, between a client and stand-ins."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from yarl import URL

from extproc.bootstrap import render
from extproc.settings import Admin, Auth, Endpoint, Envoy, Policy, Server, Settings, Site, Sites, Telemetry
from tests.bootstrap import certificates
from tests.bootstrap.stand_in import Processor, Upstream, processor, upstream
from tests.support import envoy

NOWHERE = "http://127.0.0.1:1"
"""Refuses connections: nothing can listen on that port."""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in other processes
            await asyncio.sleep(0.01)


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
    issuer: Upstream
    processor: Processor | None
    client: aiohttp.ClientSession

    async def ask(self, method: str, target: str, **kwargs: Any) -> Answered:
        """`target` goes out as it is written."""
        url = URL(self.envoy.url + target, encoded=True)
        async with self.client.request(method, url, allow_redirects=False, **kwargs) as response:
            return Answered(response.status, response.headers, await response.text())

    async def raw(self, request: bytes) -> bytes:
        """Bytes to Envoy, and the head of its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.envoy.port)
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
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
    workers: int = 1,
    dead_workers: int = 0,
    write_timeout: float = 120.0,
    with_issuer: bool = False,
    site_names: tuple[str, str] | None = None,
    concurrency: int = 2,
    role: Literal["secondary", "primary"] = "secondary",
    telemetry: Telemetry | None = None,
    **settings: Any,
) -> AsyncIterator[System]:
    """`steer` is what the processor says to every request; with None there is no processor.

    `site_names`: the sites speak TLS with certificates for these names; Envoy expects the first, and an address of
    the second. `dead_workers` are configured, but nobody is there. Other settings are those of the section `envoy`.
    """
    settings = {"health_interval": 0.1, "message_timeout": 5.0} | settings
    async with AsyncExitStack() as stack:
        pairs = [certificates.write(folder, name) for name in site_names or ()]
        contexts = [_server_context(*pair) for pair in pairs]
        primary = await stack.enter_async_context(upstream("primary", contexts[0] if contexts else None))
        secondary = await stack.enter_async_context(upstream("secondary", contexts[1] if contexts else None))
        admin = await stack.enter_async_context(upstream("admin"))
        issuer = await stack.enter_async_context(upstream("issuer"))
        configuration = Settings(
            auth=Auth(mode="passthrough"),
            server=Server(workers=workers + dead_workers, socket_dir=folder),
            store={"url": "redis://nowhere"},  # type: ignore[arg-type]
            admin=Admin(address=Endpoint.parse(admin.url.partition("://")[2])),
            policy=Policy(write_timeout=write_timeout),
            sites=Sites(
                role=role,
                primary=Site(
                    url=primary_url or primary.url,
                    host=primary_host,
                    ca=pairs[0][0] if pairs else None,
                    server_name=site_names[0] if site_names else "",
                ),
                secondary=Site(
                    url=secondary_url or secondary.url, host=secondary_host, ca=pairs[1][0] if pairs else None
                ),
                issuer=Site(url=issuer.url) if with_issuer else None,
            ),
            envoy=Envoy(**settings),
            telemetry=telemetry or Telemetry(),
        )
        mind: Processor | None = None
        if steer is not None:
            sockets = [configuration.server.socket(dead_workers + number) for number in range(workers)]
            mind = await stack.enter_async_context(processor(*sockets, steer=steer))
        running = await stack.enter_async_context(
            envoy.running(render(configuration), folder, tls="certificate" in settings, concurrency=concurrency)
        )
        client = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=False), timeout=aiohttp.ClientTimeout(total=30)
            )
        )
        yield System(running, primary, secondary, admin, issuer, mind, client)


def _server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
