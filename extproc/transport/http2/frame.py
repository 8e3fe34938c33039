"""Frames of HTTP/2: their numbers, and those that a server sends (RFC 9113, sections 4, 6, 7 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client's connection begins with (section 3.4)."""
HEAD_SIZE: Final = 9
LARGEST_FRAME: Final = 16_384
"""Bytes of a frame's payload that each side may send without asking (SETTINGS_MAX_FRAME_SIZE)."""
LARGEST_WINDOW: Final = 2**31 - 1
FIRST_WINDOW: Final = 65_535
"""Of a connection and of each stream, until a WINDOW_UPDATE or SETTINGS says more (section 6.9.2)."""
HIGHEST_STREAM: Final = 2**31 - 1

# Types, as numbers: a comparison for each frame must not cost more than the frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20


class ErrorCode(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Setting(IntEnum):
    """Parameters of SETTINGS (section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


SETTINGS_ACK: Final = b"\0\0\0\4\1\0\0\0\0"


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload of `length` bytes."""
    return _begun(length, kind, flags) + stream.to_bytes(4)


def _begun(length: int, kind: int, flags: int) -> bytes:
    """The first five of them: all but the stream's number."""
    return b"%b%c%c" % (length.to_bytes(3), kind, flags)


_USUAL: Final = 1024
_HEADERS_HEADS: Final = [_begun(length, HEADERS, END_HEADERS) for length in range(_USUAL)]
_DATA_HEADS: Final = [_begun(length, DATA, 0) for length in range(_USUAL)]


def headers_head(length: int) -> bytes:
    """The first five bytes of HEADERS with which nothing ends but the block; the stream's number follows."""
    return _HEADERS_HEADS[length] if length < _USUAL else _begun(length, HEADERS, END_HEADERS)


def data_head(length: int) -> bytes:
    """The first five bytes of DATA with which nothing ends; the stream's number follows."""
    return _DATA_HEADS[length] if length < _USUAL else _begun(length, DATA, 0)


def settings(values: Mapping[Setting, int]) -> bytes:
    payload = b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in values.items())
    return head(len(payload), SETTINGS, 0, 0) + payload


def window_update(stream: int, increment: int) -> bytes:
    return head(4, WINDOW_UPDATE, 0, stream) + increment.to_bytes(4)


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    return head(4, RST_STREAM, 0, stream) + code.to_bytes(4)


def ping(opaque: bytes, *, ack: bool = False) -> bytes:
    """`opaque`: eight bytes."""
    return head(8, PING, ACK if ack else 0, 0) + opaque


def goaway(last_stream: int, code: ErrorCode, debug: bytes = b"") -> bytes:
    return head(8 + len(debug), GOAWAY, 0, 0) + last_stream.to_bytes(4) + code.to_bytes(4) + debug


def headers(stream: int, block: bytes, *, end: bool) -> bytes:
    """`block`: encoded, at most one frame long."""
    return head(len(block), HEADERS, END_HEADERS | END_STREAM if end else END_HEADERS, stream) + block


def data(stream: int, payload: bytes, *, end: bool) -> bytes:
    """`payload`: at most one frame long."""
    return head(len(payload), DATA, END_STREAM if end else 0, stream) + payload
