"""The other yardstick: grpc.aio with raw bytes and a constant answer, below which nothing on it can get.

python -m bench.exchange.noop SOCKET ANSWER_FILE LOOP        LOOP: asyncio or uvloop
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from extproc.transport.service import METHOD


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, answer: bytes) -> None:
        async def process(request_iterator: object, context: Any) -> None:
            while await context.read() is not grpc.aio.EOF:
                await context.write(answer)

        self._method: Any = grpc.stream_stream_rpc_method_handler(process)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._method if handler_call_details.method == METHOD else None


async def _serve(socket: str, answer: bytes) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(answer),))
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"unix:{socket}")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    await stop.wait()
    await server.stop(0)


def main() -> None:
    socket, answer, loop = sys.argv[1:]
    run = uvloop.run if loop == "uvloop" else asyncio.run
    run(_serve(socket, Path(answer).read_bytes()))


if __name__ == "__main__":
    main()
