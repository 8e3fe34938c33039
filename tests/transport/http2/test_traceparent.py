"""A traceparent that is read when somebody wants to: what is known of it before, and what it is."""

from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from extproc.transport.http2.traceparent import NO_TRACEPARENT, Traceparent

CODE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def literals(text: bytes) -> list[bytes]:
    """Both forms of a string literal below 127 bytes."""
    coded = CODE.encode(text)
    return [bytes((len(text),)) + text, bytes((0x80 | len(coded),)) + coded]


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.integers(0, 255))
def test_of_each_trace_what_it_is_and_whether_it_is_not_recorded(trace: bytes, span: bytes, flags: int) -> None:
    text = f"00-{trace.hex()}-{span.hex()}-{flags:02x}"
    for literal in literals(text.encode()):
        read = Traceparent.usual(literal)
        assert read is not None
        assert str(read) == text
        assert read.unsampled is (flags == 0)


@pytest.mark.parametrize("text", [b"00-1-2-0\n", b"00-1-2-00 ", b"00-1-2-0g", b"00-A-2-00", b"\0", b"00-1-2-00\xff"])
def test_what_is_not_usual_is_left_to_the_decoder(text: bytes) -> None:
    assert [Traceparent.usual(literal) for literal in literals(text)] == [None, None]


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param(CODE.encode(b"00-12") + b"\xff", id="filled up by more than seven ones"),
        pytest.param(CODE.encode(b"00-12")[:-1] + b"\x00", id="filled up by zeros"),
        pytest.param(b"\xff\xff\xff\xff", id="the end of a string"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_cannot_be_decoded_is_left_to_the_decoder(coded: bytes) -> None:
    assert Traceparent.usual(bytes((0x80 | len(coded),)) + coded) is None


def test_none() -> None:
    assert str(NO_TRACEPARENT) == ""
    assert not NO_TRACEPARENT.unsampled
