"""The ext_proc service on grpc.aio, with raw bytes: messages are the codec's business."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from extproc.telemetry.seldom import Seldom
from extproc.transport.listening import ListenError, SocketFile, for_its_owner, try_port
from extproc.transport.service import LARGEST_MESSAGE, METHOD, OUR_FAULT, FaultLog, NewStream, is_refusal


class GrpcioServer:
    """One worker's endpoint."""

    def __init__(
        self,
        address: str,
        new_stream: NewStream,
        *,
        max_streams: int,
        shared: bool = False,
        seldom: Seldom | None = None,
    ) -> None:
        """`address`: `unix:/path` or `host:port`; `new_stream` takes the W3C traceparent, or an empty string.

        `shared`: the group of the socket's folder may connect, too.
        """
        self._address = address
        path = address.removeprefix("unix:")
        self._file = SocketFile(Path(path), shared=shared) if path != address else None
        self._max_streams = max_streams
        self._streams = 0
        self._stopping = False
        self._faults = FaultLog(seldom)
        self._new_stream = new_stream
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(
            # No maximum_concurrent_rpcs: it counts health checks too, and a busy worker must not look dead.
            options=[
                ("grpc.so_reuseport", 0),  # a taken port must be an error, not a silent share
                ("grpc.max_receive_message_length", LARGEST_MESSAGE),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self._server.add_generic_rpc_handlers((_Handler(self._process),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    @property
    def streams(self) -> int:
        """Under way now."""
        return self._streams

    async def start(self) -> None:
        """Listen and report SERVING. Raises ListenError."""
        address = self._address
        if self._file is None:
            await try_port(address)
        else:
            self._file.claim()
            address = f"unix:{self._file.binding}"
        try:
            with for_its_owner():
                self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(
                f"cannot listen on {self._address}: it is taken or not permitted; free it or change the server table"
            ) from error
        await self._server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        if self._file is not None:
            try:
                self._file.publish()
            except ListenError:
                await self._server.stop(None)  # takes along what it bound
                raise

    async def announce_drain(self) -> None:
        """Answer NOT_SERVING, so that Envoy takes this worker out of rotation; go on serving."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Take no more streams, end the running ones after `grace` seconds."""
        self._stopping = True
        if self._file is not None:
            self._file.withdraw()
        await self._server.stop(grace)

    async def _process(self, request_iterator: object, context: Any) -> None:
        if self._streams >= self._max_streams:
            # The request goes to the primary.
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._max_streams} streams are running")
        self._streams += 1
        try:
            stream = self._new_stream(_traceparent(context))
            while (data := await context.read()) is not grpc.aio.EOF:
                reply = stream.receive(data)
                await context.write(reply if isinstance(reply, bytes) else await reply)
        except Exception as error:
            if context.done() or (self._stopping and isinstance(error, grpc.aio.BaseError)):
                return  # the peer has gone, or grpc with it: nobody is left to answer
            self._faults.tell(error, _traceparent(context))
            if is_refusal(error):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            await context.abort(grpc.StatusCode.INTERNAL, OUR_FAULT)
        finally:
            self._streams -= 1


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, process: Callable[[object, Any], Any]) -> None:
        self._method: Any = grpc.stream_stream_rpc_method_handler(process)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._method if handler_call_details.method == METHOD else None


def _traceparent(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str):
            return value
    return ""
