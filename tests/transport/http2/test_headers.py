"""Header blocks (RFC 7541), and that what is remembered of them changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.transport.http2.headers import HeaderBlocks, Undecodable
from extproc.transport.http2.request import Malformed, Request
from tests.transport.http2.dialogue import NO_TABLE, POST, block, literal

LARGEST = 65_536
TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"
OTHER = TRACE.replace(b"1", b"a")
HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
HEAD = block(*POST)


def coded(text: bytes) -> bytes:
    """A string literal by Huffman's code, below 127 bytes."""
    encoded = HUFFMAN.encode(text)
    return bytes((0x80 | len(encoded),)) + encoded


def trace(value: bytes, *, name: bool = False, text: bool = False, first: bytes = b"\0") -> bytes:
    """The field `traceparent`, by Huffman's code its name or its text."""
    plain = bytes((11,)) + b"traceparent"
    return (
        first + (coded(b"traceparent") if name else plain) + (coded(value) if text else bytes((len(value),)) + value)
    )


def settled() -> Blocks:
    """The peer has acknowledged that there is no table, and said so in a block."""
    blocks = Blocks(LARGEST)
    blocks.table_refused()
    blocks.skip(NO_TABLE)
    return blocks


# Before and after the acknowledgement (RFC 7541, 4.2; RFC 9113, 4.3.1)


def test_before_the_acknowledgement_the_peer_has_a_table() -> None:
    blocks, encoder = Blocks(LARGEST), hpack.Encoder()
    first = encoder.encode([*POST, (b"a", b"1")])
    second = encoder.encode([*POST, (b"a", b"1")])
    assert len(second) < len(first)
    for encoded in (first, second, second):
        assert blocks.read(encoded)[0].fields == {b"a": b"1"}
    assert not blocks.known


def test_the_same_bytes_mean_something_else_as_long_as_there_is_a_table() -> None:
    blocks = Blocks(LARGEST)
    for value in (b"1", b"2"):
        blocks.skip(literal(b"a", value, b"\x40"))
        assert blocks.read(HEAD + b"\xbe")[0].fields == {b"a": value}


def test_the_first_block_after_it_says_that_the_table_is_gone() -> None:
    blocks = Blocks(LARGEST)
    blocks.table_refused()
    assert blocks.read(NO_TABLE + HEAD)[0].path == b"/p"
    assert blocks.read(HEAD)[0].path == b"/p"


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(HEAD, id="not said"),
        pytest.param(b"\x21" + HEAD, id="not all of it"),
        pytest.param(b"\x3f\xe1\x1f" + HEAD, id="as large as before"),
        pytest.param(HEAD + NO_TABLE, id="said behind a field"),
    ],
)
def test_otherwise_it_is_an_error(encoded: bytes) -> None:
    blocks = Blocks(LARGEST)
    blocks.table_refused()
    with pytest.raises(Undecodable):
        blocks.read(encoded)


@pytest.mark.parametrize("encoded", [b"\x21" + HEAD, HEAD + b"\xbe"], ids=["a size", "an entry"])
def test_nor_does_the_table_come_back(encoded: bytes) -> None:
    blocks = settled()
    with pytest.raises(Undecodable):
        blocks.read(encoded)


def test_what_is_put_into_no_table_is_not_there() -> None:
    blocks = settled()
    encoded = HEAD + literal(b"a", b"1", b"\x40")
    assert blocks.read(encoded)[0] is blocks.read(encoded)[0]
    with pytest.raises(Undecodable):
        blocks.read(HEAD + b"\xbe")


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\xff", id="index cut short"),
        pytest.param(b"\xff" + b"\x80" * 40, id="index without an end"),
        pytest.param(b"\0", id="no name"),
        pytest.param(b"\0\x05abc", id="name cut short"),
        pytest.param(b"\0\x01a", id="no value"),
        pytest.param(b"\0\x01a\x05abc", id="value cut short"),
        pytest.param(b"\0\x81\xff\0", id="padding of Huffman's code too long"),
        pytest.param(b"\0\x81\0\0", id="padding of Huffman's code not of ones"),
        pytest.param(b"\0\x84\xff\xff\xff\xff\0", id="EOS in it"),
    ],
)
def test_what_is_not_hpack(encoded: bytes) -> None:
    for blocks in (Blocks(LARGEST), settled()):
        for use in (blocks.read, blocks.trailers, blocks.skip):
            with pytest.raises(Undecodable) as raised:
                use(HEAD + encoded)
            assert str(raised.value).isidentifier()


def test_a_list_larger_than_allowed() -> None:
    blocks = Blocks(200)
    assert blocks.read(block(*POST))[0].path == b"/p"
    with pytest.raises(Undecodable):
        blocks.read(block(*POST, (b"a", b"b" * 80)))


# What is remembered


def test_a_block_is_decoded_once() -> None:
    blocks = settled()
    request, traceparent = blocks.read(HEAD)
    assert traceparent == b""
    assert blocks.read(HEAD)[0] is request
    assert blocks.read(HEAD + literal(b"a", b"b"))[0] is not request


@pytest.mark.parametrize("name", [False, True], ids=["plain name", "coded name"])
@pytest.mark.parametrize("text", [False, True], ids=["plain text", "coded text"])
@pytest.mark.parametrize("first", [b"\0", b"\x10", b"\x40"], ids=["not indexed", "never indexed", "indexed"])
@pytest.mark.parametrize("behind", [b"", literal(b"a", b"b")], ids=["last", "among others"])
def test_a_block_is_decoded_once_for_all_traceparents(name: bool, text: bool, first: bytes, behind: bytes) -> None:
    blocks = settled()
    request, traceparent = blocks.read(HEAD + trace(TRACE, name=name, text=text, first=first) + behind)
    assert traceparent == TRACE
    again, traceparent = blocks.read(HEAD + trace(OTHER, name=name, text=text, first=first) + behind)
    assert traceparent == OTHER
    assert again is request
    # And as the other kind of string.
    again, traceparent = blocks.read(HEAD + trace(OTHER, name=name, text=not text, first=first) + behind)
    assert (again, traceparent) == (request, OTHER)


def test_the_request_is_without_its_traceparent() -> None:
    for blocks in (Blocks(LARGEST), settled()):
        for value in (TRACE, OTHER):
            request, _ = blocks.read(HEAD + trace(value) + literal(b"a", b"b"))
            assert request.fields == {b"a": b"b"}


def test_malformed_and_undecodable_blocks_are_not_remembered() -> None:
    blocks = settled()
    for _ in range(2):
        with pytest.raises(Malformed):
            blocks.read(HEAD + literal(b"A", b"b"))
        with pytest.raises(Undecodable):
            blocks.read(HEAD + b"\xbe")
    assert not blocks.known
    assert not blocks.cut


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda n: HEAD + literal(b"a", b"%d" % n), id="other blocks"),
        pytest.param(lambda n: HEAD + literal(b"a", b"%d" % n) + trace(TRACE), id="with a traceparent"),
        pytest.param(lambda n: HEAD + trace(b"%055d" % n), id="other traceparents"),
        pytest.param(lambda n: HEAD + literal(b"a", b"%d" % n) + literal(b"b", b"x" * 100) * 20, id="long ones"),
    ],
)
def test_what_is_remembered_is_bounded(make: Callable[[int], bytes]) -> None:
    blocks = settled()
    for number in range(2000):
        blocks.read(make(number))
        assert len(blocks.known) <= 256
        assert len(blocks.cut) <= 256
    assert all(len(each) <= 1024 for each in blocks.known)
    assert all(len(before) + len(after) <= 1024 for before, after in blocks.cut)


def test_one_that_was_dropped_is_decoded_again() -> None:
    blocks = settled()
    for _ in range(2):
        for number in range(300):
            assert blocks.read(HEAD + literal(b"a", b"%d" % number))[0].fields == {b"a": b"%d" % number}


# It changes nothing


class Blocks:
    """HeaderBlocks, with traceparents that have been read."""

    def __init__(self, largest_list: int) -> None:
        self._blocks = HeaderBlocks(largest_list)
        self.table_refused = self._blocks.table_refused
        self.trailers = self._blocks.trailers
        self.skip = self._blocks.skip

    @property
    def known(self) -> dict[bytes, Request]:
        return self._blocks._known

    @property
    def cut(self) -> dict[tuple[bytes, bytes], Request]:
        return self._blocks._cut

    def read(self, encoded: bytes) -> tuple[Request, bytes]:
        request, traceparent = self._blocks.request(encoded)
        text = str(traceparent)
        assert not traceparent.unsampled or text.endswith("-00")
        return request, text.encode("latin-1")


def outcome(decode: Callable[[bytes], tuple[Request, bytes]], encoded: bytes) -> Any:
    try:
        return decode(encoded)
    except (Undecodable, Malformed) as error:
        return type(error)


def as_if_alone(encoded: bytes) -> tuple[Request, bytes]:
    """By hpack and the rules, with nothing remembered."""
    decoder = hpack.Decoder(LARGEST)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        fields = [(bytes(name), bytes(value)) for name, value in decoder.decode(encoded, raw=True)]
    except (hpack.HPACKError, IndexError, ValueError) as error:
        raise Undecodable from error
    request = Request.of(fields)
    traceparent = request.fields.get(b"traceparent", b"")
    others = {name: value for name, value in request.fields.items() if name != b"traceparent"}
    return Request(request.method, request.path, others, request.content_length), traceparent


NAME = b"\x0btraceparent"
CODED_NAME = coded(b"traceparent")
HOSTILE = {
    "the name in another value": [literal(b"a", NAME + b"\x01x"), literal(b"a", NAME + b"\x01y")],
    "the coded name in another value": [literal(b"a", CODED_NAME + b"\x01x"), literal(b"a", CODED_NAME + b"\x01y")],
    "the name in another value, and as itself": [
        literal(b"a", NAME + b"\x01x") + trace(TRACE),
        literal(b"a", NAME + b"\x01x") + trace(OTHER),
        literal(b"a", NAME + b"\x01y") + trace(OTHER),
    ],
    "two": [trace(TRACE) + trace(OTHER), trace(OTHER) + trace(TRACE), trace(b"1") + trace(OTHER)],
    "two, the second one coded": [
        trace(TRACE) + trace(OTHER, name=True),
        trace(OTHER) + trace(OTHER, name=True),
        trace(OTHER) + trace(TRACE, name=True),
    ],
    "two, the first one coded": [trace(TRACE, name=True) + trace(OTHER), trace(OTHER, name=True) + trace(OTHER)],
    "none, then an empty one": [b"", trace(b""), trace(TRACE), trace(b"")],
    "a length of 127 and more": [
        b"\0" + NAME + b"\x7f\0" + b"1" * 127,
        b"\0" + NAME + b"\x7f\0" + b"2" * 127,
        b"\0" + NAME + b"\x7f\x49" + b"2" * 200,
        b"\0" + NAME + b"\xff\0" + HUFFMAN.encode(b"1" * 200)[:127],
    ],
    "cut short": [trace(TRACE), trace(TRACE)[:-1], trace(TRACE)[:-60], trace(TRACE)[:13], trace(TRACE)[:12], b"\0"],
    "cut short, with something behind it": [
        trace(TRACE) + b"\x90",
        trace(TRACE)[:-1] + b"\x90",
        trace(b"1") + b"\x90",
    ],
    "what no field may have": [trace(TRACE), trace(b"\n"), trace(b" "), trace(b"\0" * 55), trace(b"zz", text=True)],
    "not Huffman's code": [trace(TRACE, text=True), trace(b"")[:-1] + b"\x81\xff", trace(b"")[:-1] + b"\x81\0"],
    "the length of another block is the value of this one": [
        b"\0" + CODED_NAME + b"\x01x\x90\0" + NAME + b"\0",
        b"\0" + CODED_NAME + b"\x90\0" + NAME + b"\0\0",
        b"\0" + CODED_NAME + b"\x90\0" + NAME + b"\x01x\0",
    ],
    "the name is a value's beginning, and a pseudo-header": [b"\x0f" + NAME + TRACE, b"\x04" + NAME + TRACE],
    "the name within a name": [literal(b"x-traceparent", TRACE), literal(b"x\x0btraceparent", TRACE)],
    "a size behind it": [trace(TRACE), trace(TRACE) + NO_TABLE, trace(OTHER) + NO_TABLE],
    "a size instead of a literal": [trace(TRACE, first=b"\x20"), trace(OTHER, first=b"\x20")],
    "an index into no table": [trace(TRACE) + b"\xbe", trace(OTHER) + b"\xbe"],
}


@pytest.mark.parametrize("tails", HOSTILE.values(), ids=HOSTILE)
def test_hostile_blocks(tails: list[bytes]) -> None:
    for order in (tails, tails[::-1], tails * 2):
        blocks = settled()
        for tail in order:
            assert outcome(blocks.read, HEAD + tail) == outcome(as_if_alone, HEAD + tail), tail


SOME_BYTES = st.sampled_from(
    [TRACE, OTHER, b"", b"1", b"\n", b" ", NAME, CODED_NAME, NAME + b"\x01x", b"zz", b"\x90"]
)
PIECE = st.one_of(
    st.builds(
        trace,
        SOME_BYTES,
        name=st.booleans(),
        text=st.booleans(),
        first=st.sampled_from([b"\0", b"\x10", b"\x40", b"\x20", b"\x0f", b"\x90"]),
    ),
    st.builds(literal, st.sampled_from([b"a", b"traceparent", b"content-length", b"te"]), SOME_BYTES),
    st.sampled_from([b"\x90", b"\0", b"\x20", NAME, CODED_NAME, b"\x7f\0", b"\x8b", b"\0" + CODED_NAME + b"\x90"]),
    st.binary(max_size=3),
)
TAIL = st.lists(PIECE, max_size=4).map(b"".join)


@given(tails=st.lists(TAIL, min_size=1, max_size=4), order=st.lists(st.integers(0, 3), min_size=2, max_size=8))
@example(tails=[trace(TRACE), trace(b"\n")], order=[0, 1])
@settings(max_examples=300, deadline=None)
def test_what_comes_of_a_block_does_not_depend_on_those_before_it(tails: list[bytes], order: list[int]) -> None:
    blocks = settled()
    for index in order:
        encoded = HEAD + tails[index % len(tails)]
        assert outcome(blocks.read, encoded) == outcome(as_if_alone, encoded)
