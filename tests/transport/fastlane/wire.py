"""A client without a socket: its bytes go straight to a peer of a server, whose bytes are read as gRPC's answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import hpack
from hyperframe.frame import DataFrame, Frame, HeadersFrame

from extproc.transport.fastlane.peer import Peer
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpc_wire import Messages, message
from extproc.transport.http2.frame import RST_STREAM, data, headers
from extproc.transport.service import METHOD
from tests.transport.http2.dialogue import NO_TABLE, OPENING, block, frames, raw, told_frame

CANCEL = b"\0\0\0\x08"
Field = tuple[bytes, bytes]


class Wire(asyncio.Transport):
    """What a peer writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        assert data
        assert not self.closed
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def request(
    stream: int, *more: Field, path: str = METHOD, method: bytes = b"POST", kind: bytes = b"application/grpc"
) -> bytes:
    """HEADERS of a call."""
    fields = ((b":method", method), (b":scheme", b"http"), (b":path", path.encode()), (b"content-type", kind))
    return headers(stream, NO_TABLE + block(*fields, (b"te", b"trailers"), *more), end=False)


@dataclass
class Answer:
    """To one call, as far as it has come."""

    head: dict[str, str] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    @property
    def status(self) -> tuple[int, str] | None:
        """And its message, once it is there."""
        found = self.trailers or self.head
        return (int(found["grpc-status"]), found.get("grpc-message", "")) if "grpc-status" in found else None


class Client:
    def __init__(self, server: FastlaneServer) -> None:
        self.server = server
        self.wire = Wire()
        self.peer = cast("Peer", server._peer())
        self.peer.connection_made(self.wire)

    def send(self, *parts: bytes) -> None:
        self.peer.data_received(b"".join(parts))

    def open(self, *parts: bytes) -> None:
        self.send(OPENING, *parts)

    def ask(self, stream: int, *texts: bytes, end: bool = False) -> None:
        for index, text in enumerate(texts, 1):
            self.send(data(stream, message(text), end=end and index == len(texts)))

    def reset(self, stream: int) -> None:
        self.send(raw(RST_STREAM, 0, stream, CANCEL))

    def sent(self) -> list[str]:
        """Without what every connection begins with."""
        return [told_frame(each) for each in frames(self.wire.written)[3:]]

    def answer(self, stream: int) -> Answer:
        answer, messages, decoder = Answer(), Messages(1 << 30), hpack.Decoder()
        for frame in frames(self.wire.written):
            if frame.stream_id != stream:
                continue
            if isinstance(frame, HeadersFrame):
                fields = {name.decode(): value.decode() for name, value in decoder.decode(frame.data, raw=True)}
                if answer.head:
                    answer.trailers = fields
                else:
                    answer.head = fields
            elif isinstance(frame, DataFrame):
                messages.add(frame.data)
                while (one := messages.next()) is not None:
                    answer.messages.append(one)
            answer.ended = answer.ended or is_end(frame)
        return answer

    def leave(self) -> None:
        self.wire.closed = True
        self.peer.connection_lost(None)


def is_end(frame: Frame) -> bool:
    return "END_STREAM" in frame.flags
