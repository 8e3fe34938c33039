"""A conversation with one Connection: frames in as bytes, what its handler hears, and what it sends, told in words.

All that is done is written down, so it can be done again with the bytes cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from extproc.transport.http2.connection import Connection
from extproc.transport.http2.frame import (
    ACK,
    END_HEADERS,
    PREFACE,
    SETTINGS,
    SETTINGS_ACK,
    ErrorCode,
    data,
    head,
    headers,
    settings,
)
from extproc.transport.http2.limits import Limits
from extproc.transport.http2.request import Request
from extproc.transport.http2.stream import Stream
from extproc.transport.http2.traceparent import Traceparent
from tests.support.clock import Clock

Told = tuple[Any, ...]


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame, right or wrong."""
    return head(len(payload), kind, flags, stream) + payload


def literal(name: bytes, value: bytes, first: bytes = b"\0") -> bytes:
    """A field with a new name, both below 127 bytes; `first` is the kind of literal (RFC 7541, section 6.2)."""
    return first + bytes((len(name),)) + name + bytes((len(value),)) + value


def block(*fields: tuple[bytes, bytes]) -> bytes:
    return b"".join(literal(*each) for each in fields)


POST = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/p"))
NO_TABLE = b"\x20"
"""The dynamic table's size is zero (RFC 7541, section 6.3)."""
REQUEST = NO_TABLE + block(*POST)
OPENING = PREFACE + settings({}) + SETTINGS_ACK


def begin(stream: int = 1, *fields: tuple[bytes, bytes], end: bool = False) -> bytes:
    """HEADERS of a request."""
    return headers(stream, REQUEST + block(*fields), end=end)


def told_frame(frame: Frame) -> str:
    """In words; the number is the stream's."""
    match frame:
        case SettingsFrame():
            return "SETTINGS ack" if "ACK" in frame.flags else "SETTINGS"
        case WindowUpdateFrame():
            return f"WINDOW_UPDATE {frame.stream_id} +{frame.window_increment}"
        case RstStreamFrame():
            return f"RST_STREAM {frame.stream_id} {ErrorCode(frame.error_code).name}"
        case GoAwayFrame():
            return f"GOAWAY {frame.last_stream_id} {ErrorCode(frame.error_code).name}"
        case PingFrame():
            return f"PING {'ack ' if 'ACK' in frame.flags else ''}{frame.opaque_data.decode('latin-1')}"
        case HeadersFrame():
            return f"HEADERS {frame.stream_id}{' end' if 'END_STREAM' in frame.flags else ''}"
        case DataFrame():
            return f"DATA {frame.stream_id} {len(frame.data)}{' end' if 'END_STREAM' in frame.flags else ''}"
    raise AssertionError(f"a server does not send {frame}")


def frames(out: bytes) -> list[Frame]:
    """By hyperframe, which is not ours."""
    found, rest = [], memoryview(out)
    while rest:
        frame, size = Frame.parse_frame_header(rest[:9], strict=True)
        frame.parse_body(rest[9 : 9 + size])
        assert len(rest) >= 9 + size
        found.append(frame)
        rest = rest[9 + size :]
    return found


@dataclass
class Recorder:
    """A handler that answers nothing."""

    told: list[Told] = field(default_factory=list)
    streams: dict[int, Stream] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)

    def request(self, stream: Stream, request: Request, traceparent: Traceparent) -> None:
        self.streams[stream.id], self.requests[stream.id] = stream, request
        self.told.append(("request", stream.id))

    def data(self, stream: Stream, data: bytes) -> None:
        self.told.append(("data", stream.id, data))

    def ended(self, stream: Stream) -> None:
        self.told.append(("ended", stream.id))

    def reset(self, stream: Stream, code: int) -> None:
        self.told.append(("reset", stream.id, ErrorCode(code).name))

    def sent(self, stream: Stream) -> None:
        self.told.append(("sent", stream.id))


class Dialogue:
    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits
        self.clock = Clock()
        self.handler = Recorder()
        self.connection = Connection(self.handler, limits, self.clock)
        self._done: list[Callable[[Dialogue, int], None]] = []
        self._out = b""
        self._told: list[Told] = []
        self._looked = 0

    def receive(self, *parts: bytes) -> None:
        data = b"".join(parts)

        def do(dialogue: Dialogue, size: int) -> None:
            for at in range(0, len(data), size):
                dialogue.connection.receive(data[at : at + size])

        self._do(do, max(len(data), 1))

    def open(self, *parts: bytes) -> None:
        """With both sides' settings acknowledged. What is sent meanwhile is not kept."""
        self.receive(OPENING, *parts)
        self.sent()

    def used(self, stream: int, size: int) -> None:
        self._do(lambda dialogue, _: dialogue.connection.used(dialogue.handler.streams[stream], size))

    def send_headers(self, stream: int, *, end: bool = False) -> None:
        self._do(
            lambda dialogue, _: dialogue.connection.send_headers(dialogue.handler.streams[stream], b"\x88", end=end)
        )

    def send_data(self, stream: int, data: bytes) -> None:
        self._do(lambda dialogue, _: dialogue.connection.send_data(dialogue.handler.streams[stream], data))

    def send_trailers(self, stream: int) -> None:
        self._do(lambda dialogue, _: dialogue.connection.send_trailers(dialogue.handler.streams[stream], b"\x88"))

    def reset(self, stream: int, code: ErrorCode) -> None:
        self._do(lambda dialogue, _: dialogue.connection.reset(dialogue.handler.streams[stream], code))

    def advance(self, seconds: float) -> None:
        self._do(lambda dialogue, _: dialogue.clock.advance(seconds))

    def call(self, what: Callable[[Connection], None]) -> None:
        self._do(lambda dialogue, _: what(dialogue.connection))

    def sent(self) -> list[str]:
        """Since the last look."""
        out = self._out[self._looked :]
        self._looked = len(self._out)
        return [told_frame(frame) for frame in frames(out)]

    def told(self) -> list[Told]:
        """What the handler heard since the last look."""
        told, self._told = self._told, []
        return told

    def ends(self) -> list[str]:
        """GOAWAY and RST_STREAM since the last look."""
        return [each for each in self.sent() if each.startswith(("GOAWAY", "RST_STREAM"))]

    def _do(self, what: Callable[[Dialogue, int], None], size: int = 1) -> None:
        self._done.append(what)
        before = len(self.handler.told)
        what(self, size)
        self._out += self.connection.take()
        self._told += self.handler.told[before:]

    def is_the_same_in_pieces(self) -> None:
        """Once more from the beginning, cut finely."""
        size = 1 if len(self._done) < 100 and len(self.handler.told) < 100 else 7
        large = sum(len(each[2]) for each in self.handler.told if each[0] == "data") > 1 << 16
        again = Dialogue(self._limits)
        for what in self._done:
            what(again, 4093 if large else size)
            again._out += again.connection.take()
        assert again._out == self._out
        assert again.handler.told == self.handler.told
        assert (again.connection.closed, again.connection.fault) == (self.connection.closed, self.connection.fault)


def acknowledged() -> bytes:
    return raw(SETTINGS, ACK, 0)


def chunks(stream: int, size: int, *, end: bool = False) -> bytes:
    """DATA of `size` bytes in as few frames as may be."""
    pieces = [min(16_384, size - at) for at in range(0, size, 16_384)]
    return b"".join(
        data(stream, b"x" * piece, end=end and index == len(pieces) - 1) for index, piece in enumerate(pieces)
    )


def padded(payload: bytes, padding: int) -> bytes:
    return bytes((padding,)) + payload + bytes(padding)


def split(kind_flags: int, stream: int, encoded: bytes, cuts: Iterable[int]) -> bytes:
    """HEADERS and CONTINUATION of one block, cut at `cuts`; `kind_flags` are those of HEADERS."""
    edges = [0, *cuts, len(encoded)]
    parts = [encoded[a:b] for a, b in pairwise(edges)]
    out = raw(1, kind_flags & ~END_HEADERS, stream, parts[0])
    for index, part in enumerate(parts[1:], 2):
        out += raw(9, END_HEADERS if index == len(parts) else 0, stream, part)
    return out
