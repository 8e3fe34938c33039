"""The usual head of a request, read without the library: what it reads is what the library reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.processor import wire_pb2 as wire
from extproc.processor.usual_head import usual_head
from extproc.routing.message import RequestHead

_CAPTURES = Path(__file__).parent / "captures"
_NAMES = st.sampled_from(
    [b":method", b":path", b"authorization", b"accept", b"traceparent", b"x-other", b"", b"Accept"]
)
_ENDS = st.sampled_from([b"", b"B\0", b"Z\0", b"B\0Z\0", b"B\3abc", b"P\1", b"\x1a\0", b"Z\2ab", b"\x12\0", b"Z\5a"])


def by_the_library(data: bytes) -> RequestHead | None:
    """None: it is no head of a request, or no message at all."""
    try:
        request = wire.ProcessingRequest.FromString(data)
    except DecodeError:
        return None
    if request.WhichOneof("request") != "request_headers":
        return None
    found: dict[bytes, list[str]] = {}
    for header in request.request_headers.headers.headers:
        found.setdefault(header.key.lower(), []).append((header.raw_value or header.value).decode("latin-1"))
    return RequestHead(
        ",".join(found.get(b":method", [])),
        ",".join(found.get(b":path", [])),
        tuple(found.get(b"authorization", [])),
        tuple(found.get(b"accept", [])),
        request.request_headers.end_of_stream,
        ",".join(found.get(b"traceparent", [])),
    )


def field(number: int, payload: bytes) -> bytes:
    """Length-delimited (Protocol Buffers, "Encoding")."""
    size, length = len(payload), b""
    while size > 127:
        length += bytes((size & 127 | 128,))
        size >>= 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + payload


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Heads in the usual shape, or nearly."""
    headers = b""
    for _ in range(draw(st.integers(0, 6))):
        value = draw(st.binary(max_size=8)) * draw(st.sampled_from([1, 1, 1, 20, 3000]))
        header = field(1, draw(_NAMES))
        header += draw(st.sampled_from([b"", field(2, value), field(3, value), field(2, b"v") + field(3, value)]))
        headers += field(draw(st.sampled_from([1, 1, 1, 1, 2])), header)
    inner = field(1, headers) + draw(st.sampled_from([b"", b"\x18\x01", b"\x18\x00", b"\x18\x02", b"\x18\x01" * 2]))
    return field(draw(st.sampled_from([2, 2, 2, 2, 3])), inner) + draw(_ENDS)


@given(messages(), st.integers(-3, 300), st.binary(max_size=3), st.booleans())
def test_what_is_read_is_what_the_library_reads(message: bytes, at: int, put: bytes, change: bool) -> None:
    data = message[:at] + put + message[at + len(put) :] if change else message
    usual = usual_head(data)
    assert usual is None or usual == by_the_library(data)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x12")
@example(b"\x12\x80")
@example(b"\x12\xff\xff\xff")
def test_any_bytes_are_read_as_the_library_reads_them_or_not_at_all(data: bytes) -> None:
    usual = usual_head(data)
    assert usual is None or usual == by_the_library(data)


@pytest.mark.parametrize("name", ["request_headers", "request_headers_put"])
def test_what_envoy_sends_is_in_the_usual_shape(name: str) -> None:
    data = (_CAPTURES / f"{name}.bin").read_bytes()
    assert usual_head(data) is not None
    assert usual_head(data) == by_the_library(data)


@pytest.mark.parametrize("path", sorted(_CAPTURES.glob("*.bin")), ids=lambda path: path.stem)
def test_no_other_message_is_taken_for_one(path: Path) -> None:
    usual = usual_head(path.read_bytes())
    assert usual is None or usual == by_the_library(path.read_bytes())


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 60_000])
def test_values_of_any_length_are_read(size: int) -> None:
    header = field(1, b"authorization") + field(3, b"a" * size)
    read = usual_head(field(2, field(1, field(1, header))))
    assert read is not None
    assert read.authorization == ("a" * size,)


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_head_that_is_cut_short_is_left_to_the_library(cut: int) -> None:
    whole = field(
        2, field(1, field(1, field(1, b":method") + field(3, b"GET")) + field(1, field(1, b"x"))) + b"\x18\1"
    )
    assert usual_head(whole) is not None
    assert usual_head(whole[:-cut]) is None


def header(*fields: tuple[int, bytes]) -> bytes:
    """One of the header map, of its numbered fields."""
    return field(1, b"".join(field(number, payload) for number, payload in fields))


GET = header((1, b":method"), (3, b"GET"))
GOT = header((1, b":method"), (3, b"GET\x18\1"))
"""Its last bytes could be the end of the stream."""
LONG_WAY = b"\x83\x80\x80\x00"
"""3, as a number of four bytes."""
UNUSUAL = {
    "headers under another number": field(2, field(3, GET)),
    "headers that end behind what holds them": b"\x12" + bytes((len(GET),)) + field(1, GET) + b"Z\0",
    "headers that end within one": field(2, b"\x0a" + bytes((len(GOT) - 2,)) + GOT),
    "an end of the stream that is 2": field(2, field(1, GET) + b"\x18\2"),
    "two ends of the stream": field(2, field(1, GET) + b"\x18\1\x18\0"),
    "two methods": field(2, field(1, GET + GET)),
    "two paths": field(2, field(1, header((1, b":path"), (3, b"/a")) * 2)),
    "two traceparents": field(2, field(1, header((1, b"traceparent"), (3, b"a")) * 2)),
    "a key in other letters": field(2, field(1, header((1, b"Accept"), (3, b"a")))),
    "a key that is none": field(2, field(1, header((2, b":method"), (3, b"GET")))),
    "no key": field(2, field(1, header((3, b"GET")))),
    "a value that is none": field(2, field(1, header((1, b":method"), (4, b"GET")))),
    "two values": field(2, field(1, header((1, b":method"), (3, b"PUT"), (3, b"GET")))),
    "a value of both kinds": field(2, field(1, header((1, b":method"), (2, b"PUT"), (3, b"GET")))),
    "something else among the headers": field(2, field(1, field(2, GET[2:]))),
    "a number that goes on": field(2, field(1, field(1, field(1, b":method") + b"\x1a" + LONG_WAY + b"GET"))),
    "heads twice": field(2, field(1, GET)) + field(2, field(1, header((1, b":path"), (3, b"/a")))),
    "a response's head behind it": field(2, field(1, GET)) + field(3, field(1, GET)),
    "a part behind it that is cut short": field(2, field(1, GET)) + b"B\5ab",
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_in_the_usual_shape_is_the_librarys(data: bytes) -> None:
    assert usual_head(data) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(field(2, field(1, header((1, b":method"), (2, b"GET")))), id="a value that is a string"),
        pytest.param(field(2, field(1, header((1, b":method")))), id="a key alone"),
        pytest.param(field(2, field(1, header((1, b"accept"), (3, b"a")) * 2)), id="lines of one header"),
        pytest.param(field(2, field(1, b"") + b"\x18\0"), id="no headers"),
        pytest.param(field(2, field(1, GET) + b"\x18\1") + b"B\0Z\2ab", id="parts behind it"),
    ],
)
def test_what_envoy_may_send_is_read_here(data: bytes) -> None:
    assert usual_head(data) is not None
    assert usual_head(data) == by_the_library(data)
