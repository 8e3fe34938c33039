"""One connection of a client on the event loop: its bytes to HTTP/2 and back, its streams to calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from extproc.transport.fastlane.call import Call
from extproc.transport.fastlane.patience import Patience
from extproc.transport.http2.connection import Connection
from extproc.transport.http2.frame import ErrorCode
from extproc.transport.http2.limits import Limits
from extproc.transport.http2.request import Request
from extproc.transport.http2.stream import Stream
from extproc.transport.http2.traceparent import Traceparent

_UNREAD: Final = 1 << 20
"""Bytes that a client has left unread, from which on nothing more is read of him."""


class Calls(Protocol):
    """Makes calls."""

    def call(self, peer: Peer, stream: Stream, request: Request, traceparent: Traceparent) -> Call | None:
        """None: it was answered at once, and nothing of it is left."""

    def connected(self, peer: Peer) -> bool:
        """Whether there is room for one more."""

    def lost(self, peer: Peer) -> None: ...

    def fault(self, fault: str) -> None:
        """A connection was closed for what its peer did."""


class Peer:
    """Both a protocol of asyncio and the handler of an HTTP/2 connection. No subclass of `asyncio.Protocol`, which
    says nothing but what is said here, and makes what is compiled as slow as what is not."""

    def __init__(self, calls: Calls, limits: Limits, patience: Patience) -> None:
        self._calls = calls
        self._patience = patience
        self.connection = Connection(self, limits)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        """What is waited for now: his first words, or that he reads."""
        self._flushing = False
        self.usual: Request | None = None
        """A head that was found to begin an exchange: the next ones are mostly the very same."""

    # As a protocol of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._calls.connected(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_UNREAD)
        self._wait(self._patience.speaks_within, self._too_slow)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.connection.receive(data)
        if self._timer is not None and self.connection.began:
            self._wait_no_more()
        self._flush()

    def eof_received(self) -> bool:
        """False: the connection ends with it."""
        return False

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
            self._wait(self._patience.reads_within, self._too_slow)

    def resume_writing(self) -> None:
        # What is the last is still to be read to its end.
        if self._transport is not None and not self._transport.is_closing():
            self._wait_no_more()
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self.connection.end_of_input()
        if self.connection.fault:
            self._calls.fault(self.connection.fault)
        self._calls.lost(self)

    # As the handler of an HTTP/2 connection

    def request(self, stream: Stream, request: Request, traceparent: Traceparent) -> None:
        stream.call = self._calls.call(self, stream, request, traceparent)

    def data(self, stream: Stream, data: bytes) -> None:
        stream.call.data(data)

    def ended(self, stream: Stream) -> None:
        stream.call.ended()

    def reset(self, stream: Stream, code: int) -> None:
        # Let go of: each has the other, and rings are left to the collector.
        call, stream.call = stream.call, None
        if call is not None:
            call.reset()

    def sent(self, stream: Stream) -> None:
        stream.call.sent()

    # What goes out

    def flush_soon(self) -> None:
        """In one write with whatever else is to be sent in this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None or self._transport.is_closing():
            return
        out = self.connection.take()
        if out:
            self._transport.write(out)
        if self.connection.closed:
            self._transport.close()
            self._wait(self._patience.reads_within, self.abort)

    def leave(self) -> None:
        """Take no more calls, and close when those under way have ended."""
        self.connection.shut_down()
        for stream in list(self.connection.streams.values()):
            stream.call.leave()
        self._flush()

    def close(self) -> None:
        """At once."""
        self.connection.close(ErrorCode.NO_ERROR)
        self._flush()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._wait_no_more()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._calls.fault("the client sends or reads nothing")
        self.abort()
