"""Clients of others, over real sockets, on both loops: python-hyper's h2, and h2load of nghttp2 under load."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import uvloop

from extproc.routing.message import Unread
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpc_wire import Messages, message
from extproc.transport.service import METHOD
from tests.support.ports import free_port

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Echo:
    """Answers every other message at once, and the others a turn later."""

    def __init__(self, traceparent: str | Unread) -> None:
        self._later = False

    def receive(self, data: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        self._later = not self._later
        return b"<" + data if self._later else self._wait(data)

    async def _wait(self, data: bytes) -> bytes:
        await asyncio.sleep(0)
        return b"<" + data


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"unix:{tmp_path}/w.sock" if request.param == "unix" else f"127.0.0.1:{free_port()}"


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main)

    return run


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, port = address.split(":")
    return await asyncio.open_connection(host, int(port))


def head(more: tuple[tuple[str, str], ...] = ()) -> list[tuple[str, str]]:
    return [
        *((":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "me")),
        *(("content-type", "application/grpc"), ("te", "trailers")),
        *more,
    ]


async def exchange(address: str, streams: int, texts: list[bytes]) -> None:
    """Many calls at once on one connection, each with all of `texts`, larger than what the windows hold."""
    reader, writer = await connect(address)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    body = b"".join(map(message, texts))
    left: dict[int, bytes] = {}
    got: dict[int, Messages] = {}
    ended: dict[int, dict[bytes, bytes]] = {}
    for index in range(streams):
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, head((("traceparent", f"{index:055}"),)))
        left[stream], got[stream] = body, Messages(1 << 30)
    while len(ended) < streams:
        for stream in list(left):
            while room := min(
                client.local_flow_control_window(stream), client.max_outbound_frame_size, len(left[stream])
            ):
                client.send_data(stream, left[stream][:room])
                left[stream] = left[stream][room:]
            if not left[stream]:
                client.end_stream(stream)
                del left[stream]
        writer.write(client.data_to_send())
        received = await reader.read(65_536)
        assert received
        for event in client.receive_data(received):
            if isinstance(event, h2.events.DataReceived):
                got[event.stream_id].add(event.data)
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.TrailersReceived):
                ended[event.stream_id] = dict(event.headers)
            else:
                assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
    for messages in got.values():
        for text in texts:
            assert messages.next() == b"<" + text
        assert messages.next() is None
    assert all(trailers == {b"grpc-status": b"0"} for trailers in ended.values())
    writer.close()
    await writer.wait_closed()


def test_h2(run: Callable[[Coroutine[Any, Any, None]], None], address: str) -> None:
    async def main() -> None:
        server = FastlaneServer(address, Echo, max_streams=50)
        await server.start()
        async with asyncio.timeout(60):
            await exchange(address, 50, [b"a", b"", b"b" * 1000])
            await exchange(address, 3, [b"x" * (1 << 20), b"y", b"z" * 300_000])
        await server.stop(5)
        assert server.streams == 0

    run(main())


@pytest.mark.parametrize(
    ("count", "texts"),
    [pytest.param(2000, [b"hello"], id="small"), pytest.param(200, [b"one", b"", b"x" * 40_000], id="large")],
)
def test_h2load(
    run: Callable[[Coroutine[Any, Any, None]], None], address: str, tmp_path: Path, count: int, texts: list[bytes]
) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"".join(map(message, texts)))
    where = [f"http://{address}{METHOD}"]
    if address.startswith("unix:"):
        where = [f"--base-uri={address}", f"http://me{METHOD}"]

    async def main() -> None:
        server = FastlaneServer(address, Echo, max_streams=200)
        await server.start()
        load = await asyncio.create_subprocess_exec(
            *("h2load", f"--requests={count}", "--clients=4", "--max-concurrent-streams=50", f"--data={body}"),
            *("--header=content-type: application/grpc", "--header=te: trailers", *where),
            stdout=subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            out, _ = await load.communicate()
        assert load.returncode == 0
        await server.stop(5)
        assert server.streams == 0
        told = out.decode()
        assert f"{count} total, {count} started, {count} done, {count} succeeded, 0 failed" in told
        assert re.search(rf"^status codes: {count} 2xx, 0 3xx", told, re.MULTILINE)
        replies = count * sum(len(text) + 6 for text in texts)
        assert int(re.findall(r"\((\d+)\) data", told)[0]) == replies

    run(main())
