"""The head of a request, read straight from the wire's bytes: most messages are one, and nearly all in one shape.

The library makes an object of each part of a message, and of each header two values that are looked at once: most of
what a message costs. Here only what is wanted is made.

Source: Protocol Buffers, "Encoding"; the fields are those of protos/extproc_wire.proto.

Rules
1. What is not in the shape that Envoy sends is the library's to read, be it right or wrong: another order, a part
   that comes twice, a number of more than three bytes. Nothing is refused here.
2. What is read here is what the library reads (tests/processor/test_usual_head.py compares them).
"""

from __future__ import annotations

from typing import Final

from extproc.routing.message import RequestHead

# A field's number and how it is encoded, as one byte before it.
_REQUEST_HEADERS: Final = 0x12
_METADATA_CONTEXT: Final = 0x42
_PROTOCOL_CONFIG: Final = 0x5A
_HEADER_MAP: Final = 0x0A
_END_OF_STREAM: Final = 0x18
_HEADER: Final = 0x0A
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_RAW_VALUE: Final = 0x1A

_ONCE: Final = (b":method", b":path", b"traceparent")
_MORE: Final = 0x80
"""The bit of a number's byte behind which another one comes."""


class _Unusual(Exception):
    """For the library."""


def usual_head(data: bytes) -> RequestHead | None:
    """Of a ProcessingRequest; None where it is another one, or not in the usual shape."""
    if not data or data[0] != _REQUEST_HEADERS:
        return None
    try:
        end, at = _part(data, 1)
        if data[at] != _HEADER_MAP:
            return None
        headers_end, at = _part(data, at + 1)
        end_of_stream = False
        if headers_end != end:
            if data[headers_end] != _END_OF_STREAM or data[headers_end + 1] > 1 or headers_end + 2 != end:
                return None
            end_of_stream = data[headers_end + 1] == 1
        _skip(data, end)
        return _head(data, at, headers_end, end_of_stream)
    except (IndexError, _Unusual):
        return None  # it ends within a part, or is of another shape


def _head(data: bytes, at: int, end: int, end_of_stream: bool) -> RequestHead:
    """`at` and `end`: of the headers."""
    method = path = traceparent = None
    authorization: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    while at < end:
        key, start, at = _header(data, at)
        if key == b":method" and method is None:
            method = data[start:at].decode("latin-1")
        elif key == b":path" and path is None:
            path = data[start:at].decode("latin-1")
        elif key == b"authorization":
            authorization += (data[start:at].decode("latin-1"),)
        elif key == b"accept":
            accept += (data[start:at].decode("latin-1"),)
        elif key == b"traceparent" and traceparent is None:
            traceparent = data[start:at].decode("latin-1")
        elif key in _ONCE or not key.islower():
            raise _Unusual  # a second one; or, perhaps, one of these in other letters
    if at != end:
        raise _Unusual
    return RequestHead(method or "", path or "", authorization, accept, end_of_stream, traceparent or "")


def _header(data: bytes, at: int) -> tuple[bytes, int, int]:
    """Its key, where its value begins, and where both end."""
    if data[at] != _HEADER:
        raise _Unusual
    end, at = _part(data, at + 1)
    if data[at] != _KEY:
        raise _Unusual
    key_end, at = _part(data, at + 1)
    key = data[at:key_end]
    if key_end == end:
        return key, end, end
    if data[key_end] != _RAW_VALUE and data[key_end] != _VALUE:
        raise _Unusual
    value_end, at = _part(data, key_end + 1)
    if value_end != end:
        raise _Unusual
    return key, at, end


def _skip(data: bytes, at: int) -> None:
    """What is not looked at, up to the end."""
    size = len(data)
    while at < size:
        if data[at] != _METADATA_CONTEXT and data[at] != _PROTOCOL_CONFIG:
            raise _Unusual
        at, _ = _part(data, at + 1)
    if at != size:
        raise _Unusual


def _part(data: bytes, at: int) -> tuple[int, int]:
    """Where it ends and where it begins, behind its length."""
    length = data[at]
    if not length & _MORE:
        return at + 1 + length, at + 1
    second = data[at + 1]
    if not second & _MORE:
        return at + 2 + (length & 0x7F | second << 7), at + 2
    third = data[at + 2]
    if third & _MORE:
        raise _Unusual
    return at + 3 + (length & 0x7F | (second & 0x7F) << 7 | third << 14), at + 3
