"""gRPC's own words over HTTP/2: heads, trailers, timeouts, and messages within DATA.

Source: gRPC, "gRPC over HTTP2" (PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

CONTENT_TYPE: Final = b"application/grpc"
PREFIX: Final = 5
"""Bytes before each message: whether it is compressed, and its length."""
_TIMEOUT: Final = re.compile(rb"(\d{1,8})([HMSmun])")
_LONGEST_TEXT: Final = 500
"""Characters of a status' message: what clients take as trailers is 8 KiB, and one may become twelve bytes."""
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Status(IntEnum):
    """Those that a server of ours answers with."""

    OK = 0
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


def _literal(name: bytes, value: bytes) -> bytes:
    """A field without indexing, its name and value as they are (RFC 7541, section 6.2.2): no table, no state."""
    return b"\0" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes((length,)) + text
    rest, more = length - 127, bytearray((127,))
    while rest >= 128:
        more.append(rest & 127 | 128)
        rest >>= 7
    more.append(rest)
    return bytes(more) + text


_STATUS_200: Final = b"\x88"
"""By its place in the static table (RFC 7541, appendix A)."""
RESPONSE: Final = _STATUS_200 + _literal(b"content-type", CONTENT_TYPE)
"""The head of an answer with messages."""
_ACCEPTED: Final = _literal(b"grpc-accept-encoding", b"identity")
UNSUPPORTED_MEDIA_TYPE: Final = _literal(b":status", b"415")
"""The answer to what is not gRPC at all."""


def trailers(status: Status, message: str = "") -> bytes:
    """Behind messages."""
    block = _literal(b"grpc-status", b"%d" % status)
    return block + _literal(b"grpc-message", _percent(message)) if message else block


OK: Final = trailers(Status.OK)


def trailers_only(status: Status, message: str = "") -> bytes:
    """Instead of messages."""
    return RESPONSE + (_ACCEPTED if status is Status.UNIMPLEMENTED else b"") + trailers(status, message)


def _percent(message: str) -> bytes:
    """Percent-encoding as gRPC has it: all but printable ASCII, and the percent sign."""
    text = message[:_LONGEST_TEXT].encode(errors="replace")
    return b"".join(b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in text)


def timeout(value: bytes) -> float | None:
    """Seconds of a `grpc-timeout`; None if it is none."""
    found = _TIMEOUT.fullmatch(value)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


class BadMessage(ValueError):
    """What is in DATA is no message that we take."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class Messages:
    """The messages in the DATA of one stream, however they are cut."""

    __slots__ = ("_largest", "_rest")

    def __init__(self, largest: int) -> None:
        """`largest`: bytes of one message."""
        self._largest = largest
        self._rest = bytearray()

    def __len__(self) -> int:
        """Bytes that are kept."""
        return len(self._rest)

    def __bool__(self) -> bool:
        # Said here, for mypyc asks no `__len__` whether an object is true.
        return bool(self._rest)

    def add(self, data: bytes) -> None:
        self._rest += data

    def next(self) -> bytes | None:
        """The next one that is whole, if one is. Raises BadMessage as soon as it can be known."""
        rest = self._rest
        if len(rest) < PREFIX:
            return None
        if rest[0]:
            raise BadMessage(Status.UNIMPLEMENTED, "compressed messages are not taken; send identity")
        size = int.from_bytes(rest[1:PREFIX])
        if size > self._largest:
            raise BadMessage(
                Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes; {self._largest} is the most that is taken"
            )
        if len(rest) < PREFIX + size:
            return None
        message = bytes(rest[PREFIX : PREFIX + size])
        del rest[: PREFIX + size]
        return message


def message(data: bytes) -> bytes:
    """With its prefix."""
    return b"\0%b%b" % (len(data).to_bytes(4), data)
