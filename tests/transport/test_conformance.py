"""What every transport does, with grpc's own client that sends raw bytes, on a Unix socket and on TCP."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.auth.challenge import Challenge
from extproc.evidence.backlog import Backlog
from extproc.evidence.memory import MemoryStore
from extproc.processor.codec import OtherPhase, WireError, encode_continue
from extproc.processor.exchange import ProtocolError
from extproc.processor.stream import Stream
from extproc.routing.message import Unread
from extproc.routing.policy import Policy
from extproc.routing.router import Router
from extproc.telemetry.seldom import Seldom
from extproc.telemetry.setup import configure_log
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpcio import GrpcioServer
from extproc.transport.listening import ListenError
from extproc.transport.service import METHOD, Endpoint, MessageHandler, NewStream
from tests.support.clock import Clock
from tests.support.heads import EVERY_TYPE
from tests.support.messages import PRIMARY, Reply, request_head, response_head
from tests.support.ports import free_port
from tests.support.recorded import Recorder

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_POLLER = "PollerCompletionQueue"
"""Of grpc's client: it complains of the loop of a test that has ended."""
TRACEPARENT = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"


@dataclass
class Scripted:
    """Handles messages as told: `wait` until released, an error, or an echo."""

    traceparents: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    def stream(self, traceparent: str | Unread) -> Scripted:
        self.traceparents.append(str(traceparent))
        return self

    async def receive(self, data: bytes) -> bytes:
        match data:
            case b"wait":
                self.arrived.set()
                try:
                    await self.release.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case b"wire":
                raise WireError("not a message")
            case b"protocol":
                raise ProtocolError("not now")
            case b"fault":
                raise RuntimeError("Bearer secret")
        return b"<" + data


@dataclass
class Client:
    """Speaks to one server."""

    channel: Any

    def exchange(self, **metadata: str) -> Any:
        return self.channel.stream_stream(METHOD)(metadata=tuple(metadata.items()))

    async def ask(self, call: Any, message: bytes) -> Any:
        await call.write(message)
        return await asyncio.wait_for(call.read(), 10)

    async def health(self) -> Any:
        request = health_pb2.HealthCheckRequest()
        return (await health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=10)).status

    async def refusal(self, message: bytes) -> tuple[grpc.StatusCode, str]:
        call = self.exchange()
        with suppress(grpc.aio.AioRpcError):
            await self.ask(call, message)
            await call.done_writing()
        return await call.code(), await call.details()


def channel_to(address: str) -> Any:
    """With a connection of its own: channels share them, also one whose server has just ended."""
    return grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


@dataclass
class Transport:
    """One kind of server."""

    kind: type[GrpcioServer] | type[FastlaneServer]

    def server(self, address: str, new_stream: NewStream, **options: Any) -> Endpoint:
        return self.kind(address, new_stream, **options)

    @asynccontextmanager
    async def serving(
        self,
        address: str,
        new_stream: NewStream,
        max_streams: int = 10,
        *,
        shared: bool = False,
        seldom: Seldom | None = None,
    ) -> AsyncIterator[tuple[Endpoint, Client]]:
        server = self.server(address, new_stream, max_streams=max_streams, shared=shared, seldom=seldom)
        await server.start()
        async with channel_to(address) as channel:
            try:
                yield server, Client(channel)
            finally:
                await server.stop(0)


@pytest.fixture(params=[GrpcioServer, FastlaneServer], ids=["grpcio", "fastlane"])
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"unix:{tmp_path}/run/w.sock" if request.param == "unix" else f"127.0.0.1:{free_port()}"


async def test_a_whole_exchange(transport: Transport, address: str) -> None:
    store = MemoryStore(absent_ttl=5)
    router = Router(verifier=None, facts=store, writes=Backlog(store), policy=Policy(), now=lambda: 0.0)

    def stream(traceparent: str | Unread) -> Stream:
        return Stream(router, Challenge("https://issuer/", "registry"), Recorder(), traceparent)

    async with transport.serving(address, stream) as (_, client):
        call = client.exchange()
        head = request_head("GET", "/v2/g/app/manifests/latest", ("accept", EVERY_TYPE[0]))
        assert Reply.of(await client.ask(call, head)).set_headers["x-geo-reason"] == "tag-unverified"
        answer = await client.ask(call, response_head(404, site=PRIMARY))
        assert answer == encode_continue(OtherPhase.RESPONSE_HEADERS)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_two_exchanges_at_once(transport: Transport, address: str) -> None:
    scripted = Scripted()
    async with transport.serving(address, scripted.stream) as (_, client):
        slow = client.exchange()
        await slow.write(b"wait")
        await scripted.arrived.wait()
        assert await client.ask(client.exchange(), b"quick") == b"<quick"
        scripted.release.set()
        assert await slow.read() == b"<wait"


async def test_beyond_max_streams_requests_are_turned_away_and_health_is_not(
    transport: Transport, address: str
) -> None:
    scripted = Scripted()
    async with transport.serving(address, scripted.stream, max_streams=1) as (_, client):
        first = client.exchange()
        assert await client.ask(first, b"1") == b"<1"
        # Nothing is written: by grpc's client that is an error of its own (INTERNAL) where the answer came first.
        second = client.exchange()
        assert await second.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await second.details() == "1 streams are running"
        assert await client.health() == SERVING
        await first.done_writing()
        assert await first.code() is grpc.StatusCode.OK
        assert await client.ask(client.exchange(), b"3") == b"<3"


@pytest.mark.parametrize(
    ("message", "status", "event"),
    [
        pytest.param(b"wire", (grpc.StatusCode.INVALID_ARGUMENT, "not a message"), "stream refused", id="wire"),
        pytest.param(b"protocol", (grpc.StatusCode.INVALID_ARGUMENT, "not now"), "stream refused", id="protocol"),
        pytest.param(
            b"fault",
            (grpc.StatusCode.INTERNAL, "a fault of geo-extproc; its log has it"),
            "stream failed",
            id="ours",
        ),
    ],
)
async def test_an_error_ends_its_stream_alone(
    transport: Transport, tmp_path: Path, message: bytes, status: tuple[grpc.StatusCode, str], event: str
) -> None:
    scripted, clock = Scripted(), Clock()
    server = transport.serving(f"unix:{tmp_path}/w.sock", scripted.stream, max_streams=2, seldom=Seldom(5.0, clock))
    async with server as (_, client):
        other = client.exchange()
        assert await client.ask(other, b"1") == b"<1"
        with structlog.testing.capture_logs() as logs:
            for clock.now in (0.0, 1.0, 2.0, 5.0):
                assert await client.refusal(message) == status
        # Whoever may connect can cause as many as he likes.
        assert [(line["event"], line["left_out"]) for line in logs] == [(event, 0), (event, 2)]
        assert await client.ask(other, b"2") == b"<2"


async def test_an_error_is_logged_with_the_trace_of_who_called(
    transport: Transport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_log("info", "json")
    async with transport.serving(f"unix:{tmp_path}/w.sock", Scripted().stream) as (_, client):
        for message, metadata in ((b"fault", {"traceparent": TRACEPARENT}), (b"wire", {})):
            call = client.exchange(**metadata)
            with suppress(grpc.aio.AioRpcError):
                await client.ask(call, message)
            assert await call.code() is not grpc.StatusCode.OK
    said = [line for line in capsys.readouterr().err.splitlines() if _POLLER not in line]
    failed, refused = map(json.loads, said)
    assert failed["event"] == "stream failed"
    assert "RuntimeError: Bearer secret" in failed["exception"]
    assert (failed["trace_id"], failed["span_id"], failed["trace_flags"]) == ("1" * 32, "2" * 16, "01")
    assert refused["event"] == "stream refused"
    assert not refused.keys() & {"trace_id", "span_id", "trace_flags"}


async def test_a_stream_that_cannot_be_made_is_an_error_too(transport: Transport, tmp_path: Path) -> None:
    def broken(traceparent: str | Unread) -> MessageHandler:
        raise RuntimeError("broken")

    async with transport.serving(f"unix:{tmp_path}/w.sock", broken) as (_, client):
        with structlog.testing.capture_logs():
            assert (await client.refusal(b"1"))[0] is grpc.StatusCode.INTERNAL
        assert await client.health() == SERVING


async def test_drain_lets_running_streams_finish(transport: Transport, address: str) -> None:
    scripted = Scripted()
    async with transport.serving(address, scripted.stream) as (server, client):
        assert await client.health() == SERVING
        running = client.exchange()
        await running.write(b"wait")
        await scripted.arrived.wait()
        await server.announce_drain()
        assert await client.health() == NOT_SERVING
        late = client.exchange()
        assert await client.ask(late, b"late") == b"<late"
        await late.done_writing()
        stopping = asyncio.create_task(server.stop(grace=10))
        scripted.release.set()
        assert await asyncio.wait_for(running.read(), 10) == b"<wait"
        await running.done_writing()
        assert await running.code() is grpc.StatusCode.OK
        await asyncio.wait_for(stopping, 10)


async def test_a_stream_that_outlasts_the_grace_is_ended(transport: Transport, tmp_path: Path) -> None:
    scripted = Scripted()
    async with transport.serving(f"unix:{tmp_path}/w.sock", scripted.stream) as (server, client):
        running = client.exchange()
        await running.write(b"wait")
        await scripted.arrived.wait()
        await asyncio.wait_for(server.stop(grace=0.01), 10)
        assert await running.code() is not grpc.StatusCode.OK
        await asyncio.wait_for(scripted.cancelled.wait(), 10)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"traceparent": TRACEPARENT}, TRACEPARENT, id="one"),
        pytest.param({"tracestate": "a=b", "traceparent": TRACEPARENT}, TRACEPARENT, id="among others"),
    ],
)
async def test_trace_context(transport: Transport, tmp_path: Path, metadata: dict[str, str], expected: str) -> None:
    scripted = Scripted()
    async with transport.serving(f"unix:{tmp_path}/w.sock", scripted.stream) as (_, client):
        assert await client.ask(client.exchange(**metadata), b"1") == b"<1"
    assert scripted.traceparents == [expected]


async def test_a_client_that_cancels_frees_its_place_and_logs_nothing(transport: Transport, address: str) -> None:
    scripted = Scripted()
    async with transport.serving(address, scripted.stream, max_streams=1) as (_, client):
        with structlog.testing.capture_logs() as logs:
            waiting = client.exchange()
            await waiting.write(b"wait")
            await scripted.arrived.wait()
            waiting.cancel()
            await asyncio.wait_for(scripted.cancelled.wait(), 10)
            idle = client.exchange()
            assert await client.ask(idle, b"1") == b"<1"
            idle.cancel()
            while True:
                late = client.exchange()
                await late.done_writing()
                if await late.code() is grpc.StatusCode.OK:
                    break
        assert logs == []


async def test_another_method_is_unknown(transport: Transport, tmp_path: Path) -> None:
    async with transport.serving(f"unix:{tmp_path}/w.sock", Scripted().stream) as (_, client):
        # Nothing is written: by grpc's client that is an error of its own (INTERNAL) where the answer came first.
        call = client.channel.stream_stream("/envoy.service.ext_proc.v3.ExternalProcessor/Other")()
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_larger_than_any_head_is_refused(transport: Transport, tmp_path: Path) -> None:
    async with transport.serving(f"unix:{tmp_path}/w.sock", Scripted().stream) as (_, client):
        assert (await client.refusal(b"x" * (1 << 20 | 1)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await client.ask(client.exchange(), b"x" * 100_000) == b"<" + b"x" * 100_000


@pytest.mark.parametrize(("shared", "mode"), [(False, 0o600), (True, 0o660)])
async def test_the_socket_is_not_for_everybody_whatever_the_umask(
    transport: Transport, tmp_path: Path, shared: bool, mode: int
) -> None:
    before = os.umask(0)
    try:
        async with transport.serving(f"unix:{tmp_path}/run/w.sock", Scripted().stream, shared=shared) as (_, client):
            assert (tmp_path / "run" / "w.sock").stat().st_mode & 0o777 == mode
            assert await client.ask(client.exchange(), b"1") == b"<1"
    finally:
        assert os.umask(before) == 0


async def test_a_socket_that_cannot_be_shared_leaves_nothing_behind(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)  # root may give to any group
    server = transport.server(f"unix:{tmp_path}/run/w.sock", Scripted().stream, max_streams=1, shared=True)
    with pytest.raises(ListenError, match="this user is not in group"):
        await server.start()
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_taken_address(transport: Transport, address: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with transport.serving(address, Scripted().stream) as (_, client):
        second = transport.server(address, Scripted().stream, max_streams=1)
        with pytest.raises(ListenError, match=r"^cannot listen on \S+: [^;]+; (free it|end what listens)"):
            await second.start()
        await second.stop(0)
        assert await client.ask(client.exchange(), b"1") == b"<1"
        async with channel_to(address) as anew:
            assert await Client(anew).health() == SERVING
    # grpc reports this one itself, unless we look before.
    assert "Failed to add port" not in capfd.readouterr().err


async def test_a_place_that_was_left_can_be_had_again(transport: Transport, address: str) -> None:
    for _ in range(2):
        async with transport.serving(address, Scripted().stream) as (_, client):
            assert await client.health() == SERVING


async def test_no_socket_is_left(transport: Transport, tmp_path: Path) -> None:
    async with transport.serving(f"unix:{tmp_path}/run/w.sock", Scripted().stream):
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["w.sock"]
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "run").iterdir()) == []
