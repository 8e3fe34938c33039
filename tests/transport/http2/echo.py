"""A handler that sends back what it gets, and watches over what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from extproc.transport.grpc_wire import OK, RESPONSE
from extproc.transport.http2.connection import Connection
from extproc.transport.http2.frame import ErrorCode
from extproc.transport.http2.limits import Limits
from extproc.transport.http2.request import Request
from extproc.transport.http2.stream import Stream
from extproc.transport.http2.traceparent import Traceparent
from tests.support.clock import Clock


@dataclass
class Heard:
    """Of one stream."""

    stream: Stream
    echoed: bytes = b""
    held: list[bytes] = field(default_factory=list)
    ended: bool = False
    over: bool = False
    """We have ended it, or it was reset."""
    told: bool = False
    """That it was reset."""


class Echo:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.clock = Clock()
        self.heard: dict[int, Heard] = {}
        self.slow = False
        """Takes what comes, and answers when `work` is called."""
        self.connection = Connection(self, limits, self.clock)

    def request(self, stream: Stream, request: Request, traceparent: Traceparent) -> None:
        assert stream.id not in self.heard
        self.heard[stream.id] = Heard(stream)

    def data(self, stream: Stream, data: bytes) -> None:
        heard = self.heard[stream.id]
        assert data
        assert not (heard.ended or heard.over)
        heard.held.append(data)
        if not self.slow:
            self._answer(heard)

    def ended(self, stream: Stream) -> None:
        heard = self.heard[stream.id]
        assert not (heard.ended or heard.over)
        heard.ended = True
        if not self.slow:
            self._answer(heard)

    def reset(self, stream: Stream, code: int) -> None:
        heard = self.heard[stream.id]
        # We may have ended it, and the end waits for a window.
        assert not heard.told
        assert not heard.over or stream.waiting_end is not None
        heard.over = heard.told = True

    def sent(self, stream: Stream) -> None:
        assert not stream.waiting
        assert self.connection.streams[stream.id] is stream

    def work(self) -> None:
        for heard in self.heard.values():
            self._answer(heard)

    def give_up(self, stream: int, code: ErrorCode) -> None:
        heard = self.heard[stream]
        if not heard.over:
            heard.over = True
            self.connection.reset(heard.stream, code)

    def check(self) -> None:
        """What holds at any time."""
        connection, limits = self.connection, self.limits
        assert len(connection.streams) <= limits.streams
        assert connection._send_window >= 0
        assert len(connection._ended) <= 2 * limits.streams + 100
        for number, stream in connection.streams.items():
            assert not self.heard[number].over or stream.waiting_end is not None
            assert stream.held == sum(map(len, self.heard[number].held))
            assert stream.receive_window + stream.used + stream.held == limits.window
            assert not stream.waiting or stream.send_window <= 0 or connection._send_window <= 0
        assert sum(not heard.over for heard in self.heard.values()) <= len(connection.streams)
        if not connection.closed:
            held = sum(stream.held for stream in connection.streams.values())
            assert connection._receive_window + connection._used + held == limits.connection_window

    def _answer(self, heard: Heard) -> None:
        if heard.over:
            return
        connection, stream = self.connection, heard.stream
        for data in heard.held:
            connection.used(stream, len(data))
            if not stream.answered:
                connection.send_headers(stream, RESPONSE)
            connection.send_data(stream, data)
            heard.echoed += data
        heard.held.clear()
        if heard.ended:
            heard.over = True
            if not stream.answered:
                connection.send_headers(stream, RESPONSE)
            connection.send_trailers(stream, OK)
