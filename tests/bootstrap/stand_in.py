"""What Envoy talks to in these tests: registries and an admin server that note what they got, and a processor."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext

import grpc
from aiohttp import web
from betterproto2 import Message
from multidict import CIMultiDict, CIMultiDictProxy

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # as in extproc.bootstrap
    from envoy_data_plane.envoy.config.core.v3 import (
        HeaderValue,
        HeaderValueOption,
        HeaderValueOptionHeaderAppendAction,
    )
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
        ProcessingMode,
        ProcessingModeHeaderSendMode,
    )
    from envoy_data_plane.envoy.service.ext_proc.v3 import (
        CommonResponse,
        HeaderMutation,
        HeadersResponse,
        ImmediateResponse,
        ProcessingRequest,
        ProcessingResponse,
    )
    from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode

_HEAD = 100_000
"""Bytes of a head: more than Envoy passes on."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    """Path and query, byte for byte."""
    headers: CIMultiDictProxy[str]
    body: int
    """Bytes of the body."""

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"


@dataclass
class Upstream:
    """An HTTP server. Health checks are answered by `health` and not noted."""

    name: str
    url: str = ""
    answer: Answer | None = None
    """Its answer to everything else; without one, 200 with its name."""
    health: int = 401
    seen: list[Seen] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [seen.line for seen in self.seen]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("user-agent") == "Envoy/HC":
            return web.Response(status=self.health)
        body = 0
        async for chunk in request.content.iter_any():
            body += len(chunk)
        target = request.raw_path
        self.seen.append(Seen(request.method, target, CIMultiDictProxy(CIMultiDict(request.headers)), body))
        if self.answer is not None:
            return await self.answer(request)
        return web.Response(text=self.name)


def answers(status: int, *, after: float = 0.0, headers: dict[str, str] | None = None, text: str = "") -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(after)
        return web.Response(status=status, headers=headers, text=text)

    return answer


async def resets(request: web.BaseRequest) -> web.StreamResponse:
    """The connection breaks before an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def upstream(name: str, ssl: SSLContext | None = None) -> AsyncIterator[Upstream]:
    stand_in = Upstream(name)
    runner = web.ServerRunner(
        web.Server(stand_in.handle, access_log=None, max_line_size=_HEAD, max_field_size=_HEAD), shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl).start()
        port = runner.addresses[0][1]
        stand_in.url = f"{'https' if ssl else 'http'}://127.0.0.1:{port}"
        yield stand_in
    finally:
        await runner.cleanup()


@dataclass
class Processor:
    """Answers the head of every request with the same headers; streams it saw are noted."""

    set_headers: dict[str, str] = field(default_factory=dict)
    observe: bool = False
    """Ask for the response phase of each exchange."""
    requests: list[dict[str, str]] = field(default_factory=list)
    responses: list[ProcessingRequest] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    """When given, the status and body that every request is answered with."""
    gate: asyncio.Event | None = None
    """When given, no answer before it is set."""

    async def process(
        self, messages: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        async for raw in messages:
            message = ProcessingRequest.parse(raw)
            if message.request_headers is not None:
                self.requests.append(_headers(message))
                if self.gate is not None:
                    await self.gate.wait()
                yield bytes(self._steer() if self.refusal is None else _refuse(*self.refusal))
            else:
                self.responses.append(message)
                yield bytes(ProcessingResponse(response_headers=HeadersResponse()))

    def _steer(self) -> Message:
        overwrite = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
        return ProcessingResponse(
            request_headers=HeadersResponse(
                response=CommonResponse(
                    header_mutation=HeaderMutation(
                        set_headers=[
                            HeaderValueOption(
                                header=HeaderValue(key=name, raw_value=value.encode()), append_action=overwrite
                            )
                            for name, value in self.set_headers.items()
                        ]
                    ),
                    clear_route_cache=True,
                )
            ),
            mode_override=ProcessingMode(response_header_mode=ProcessingModeHeaderSendMode.SEND)
            if self.observe
            else None,
        )


def _refuse(status: int, body: str) -> Message:
    header = HeaderValueOption(header=HeaderValue(key="retry-after", raw_value=b"7"))
    return ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=HttpStatus(code=StatusCode(status)),
            headers=HeaderMutation(set_headers=[header]),
            body=body.encode(),
        )
    )


def _headers(message: ProcessingRequest) -> dict[str, str]:
    assert message.request_headers is not None
    assert message.request_headers.headers is not None
    return {
        header.key: header.raw_value.decode() or header.value for header in message.request_headers.headers.headers
    }


@asynccontextmanager
async def processor(*sockets: Path, steer: str = "", reason: str = "a-reason") -> AsyncIterator[Processor]:
    """One worker on each of the sockets, which says SERVING and steers with `steer`; they share their notes."""
    stand_in = Processor({"x-geo-route": steer, "x-geo-reason": reason} if steer else {})
    servers = []
    for socket in sockets:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "envoy.service.ext_proc.v3.ExternalProcessor",
                    {"Process": grpc.stream_stream_rpc_method_handler(stand_in.process)},
                ),
                grpc.method_handlers_generic_handler(
                    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(_serving)}
                ),
            )
        )
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        servers.append(server)
    try:
        yield stand_in
    finally:
        for server in servers:
            await server.stop(None)


async def _serving(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """HealthCheckResponse{status: SERVING}."""
    return b"\x08\x01"


async def _worker(socket: Path) -> None:
    """A process of its own, to be killed: says when it is there."""
    async with processor(socket, steer="secondary"):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_worker(Path(sys.argv[1])))
