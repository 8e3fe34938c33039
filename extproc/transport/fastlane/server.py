"""One worker's endpoint: listens, and makes calls of what clients ask for."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from extproc.telemetry.seldom import Seldom
from extproc.transport import health
from extproc.transport.fastlane.call import Call, Check, Process, Refused, Watch
from extproc.transport.fastlane.patience import Patience
from extproc.transport.fastlane.peer import Peer
from extproc.transport.grpc_wire import CONTENT_TYPE, UNSUPPORTED_MEDIA_TYPE, Status, timeout
from extproc.transport.health import Health
from extproc.transport.http2.limits import Limits
from extproc.transport.http2.request import Request
from extproc.transport.http2.stream import Stream
from extproc.transport.http2.traceparent import Traceparent
from extproc.transport.listening import ListenError, SocketFile, for_its_owner, try_port
from extproc.transport.service import METHOD, FaultLog, NewStream

_METHOD: Final = METHOD.encode()
_MOST_CONNECTIONS: Final = 1000
"""Envoy has one for each of its workers, and health checks another."""
_BEYOND: Final = 100
"""Streams that HTTP/2 allows beyond `max_streams`: for health checks, and to be refused in gRPC's words."""
_CLOSES_WITHIN: Final = 1.0


class FastlaneServer:
    """As GrpcioServer, see service.Endpoint."""

    def __init__(
        self,
        address: str,
        new_stream: NewStream,
        *,
        max_streams: int,
        shared: bool = False,
        seldom: Seldom | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`address`: `unix:/path` or `host:port`; `new_stream` takes the W3C traceparent, if there is one.

        `shared`: the group of the socket's folder may connect, too.
        """
        self._address = address
        path = address.removeprefix("unix:")
        self._file = SocketFile(Path(path), shared=shared) if path != address else None
        self.new_stream = new_stream
        self._max_streams = max_streams
        self._patience = patience or Patience()
        self._limits = replace(Limits(), streams=max_streams + _BEYOND)
        self.faults = FaultLog(seldom)
        self._health = Health()
        self._streams = 0
        self._peers: set[Peer] = set()
        self._empty = asyncio.Event()
        self._server: asyncio.AbstractServer | None = None
        self._stopping = False

    @property
    def streams(self) -> int:
        """Under way now."""
        return self._streams

    async def start(self) -> None:
        """Listen and report SERVING. Raises ListenError."""
        loop = asyncio.get_running_loop()
        try:
            if self._file is None:
                await try_port(self._address)
                host, _, port = self._address.rpartition(":")
                self._server = await loop.create_server(self._peer, host.strip("[]"), int(port), backlog=1024)
            else:
                self._file.claim()
                self._server = await loop.create_unix_server(
                    self._peer, sock=_bound(self._file.binding), backlog=1024
                )
        except OSError as error:
            raise ListenError(
                f"cannot listen on {self._address}: {error.strerror}; free it or change the server table"
            ) from error
        self._health.change(serving=True)
        if self._file is not None:
            try:
                self._file.publish()
            except ListenError:
                self._server.close()
                self._file.binding.unlink(missing_ok=True)
                raise

    async def announce_drain(self) -> None:
        """Answer NOT_SERVING, so that Envoy takes this worker out of rotation; go on serving."""
        self._health.change(serving=False)

    async def stop(self, grace: float) -> None:
        """Take no more streams, end the running ones after `grace` seconds."""
        self._stopping = True
        if self._file is not None:
            self._file.withdraw()
        if self._server is not None:
            self._server.close()
        for peer in list(self._peers):
            peer.leave()
        if not await self._all_gone(grace):
            for peer in list(self._peers):
                peer.close()
            # What was written last may still be on its way to a client that reads.
            if not await self._all_gone(_CLOSES_WITHIN):
                for peer in list(self._peers):
                    peer.abort()
                await self._all_gone(_CLOSES_WITHIN)

    async def _all_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while self._peers:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            return not self._peers
        return True

    def _peer(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", Peer(self, self._limits, self._patience))

    # What peers ask for

    def connected(self, peer: Peer) -> bool:
        self._peers.add(peer)
        if len(self._peers) > _MOST_CONNECTIONS:
            self.fault(f"{_MOST_CONNECTIONS} connections are open")
            return False
        # One may have been on its way when we began to stop.
        return not self._stopping

    def lost(self, peer: Peer) -> None:
        self._peers.discard(peer)
        if not self._peers:
            self._empty.set()

    def fault(self, fault: str) -> None:
        self.faults.tell_connection(fault)

    def call(self, peer: Peer, stream: Stream, request: Request, traceparent: Traceparent) -> Call | None:
        if request is peer.usual:
            return self._process(peer, stream, traceparent)
        fields = request.fields
        if request.method != b"POST" or not fields.get(b"content-type", b"").startswith(CONTENT_TYPE):
            peer.connection.send_headers(stream, UNSUPPORTED_MEDIA_TYPE, end=True)
            return None
        if fields.get(b"grpc-encoding", b"identity") != b"identity":
            return Refused(peer, stream, Status.UNIMPLEMENTED, "compressed messages are not taken; send identity")
        limited = fields.get(b"grpc-timeout")
        seconds = None if limited is None else timeout(limited)
        if limited is not None and seconds is None:
            return Refused(peer, stream, Status.INVALID_ARGUMENT, "grpc-timeout is no timeout")
        call = self._of(peer, stream, request.path, traceparent)
        if seconds is not None:
            call.limit(seconds)
        elif request.path == _METHOD:
            peer.usual = request
        return call

    def _of(self, peer: Peer, stream: Stream, path: bytes, traceparent: Traceparent) -> Call:
        if path == _METHOD:
            return self._process(peer, stream, traceparent)
        if path == health.CHECK:
            return Check(peer, stream, self._health)
        if path == health.WATCH:
            return Watch(peer, stream, self._health)
        return Refused(peer, stream, Status.UNIMPLEMENTED, "there is no such method here")

    def _process(self, peer: Peer, stream: Stream, traceparent: Traceparent) -> Call:
        if self._streams >= self._max_streams:
            # The request goes to the primary.
            return Refused(peer, stream, Status.RESOURCE_EXHAUSTED, f"{self._max_streams} streams are running")
        self._streams += 1
        return Process(peer, stream, self, traceparent)

    def one_less(self) -> None:
        self._streams -= 1


def _bound(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX)
    try:
        with for_its_owner():
            bound.bind(str(path))
    except BaseException:
        bound.close()
        raise
    return bound
