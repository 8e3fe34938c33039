"""Streams from their beginning to the peer's end of them (RFC 9113, 5.1, 6.1, 6.2, 6.10, 8.1)."""

from __future__ import annotations

import pytest

from extproc.transport.http2.frame import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITIZED,
    PRIORITY,
    data,
    headers,
    ping,
)
from tests.transport.http2.dialogue import POST, REQUEST, Dialogue, begin, block, literal, padded, raw, split

ALONE = END_HEADERS | END_STREAM
DEPENDS_ON_NOTHING = b"\0\0\0\0\x10"


# HEADERS and CONTINUATION (6.2, 6.10)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(raw(HEADERS, END_HEADERS, 1, REQUEST), id="plain"),
        pytest.param(raw(HEADERS, END_HEADERS | PADDED, 1, padded(REQUEST, 255)), id="padding"),
        pytest.param(raw(HEADERS, END_HEADERS | PADDED, 1, padded(REQUEST, 0)), id="no padding, said"),
        pytest.param(raw(HEADERS, END_HEADERS | PRIORITIZED, 1, DEPENDS_ON_NOTHING + REQUEST), id="priority"),
        pytest.param(raw(HEADERS, END_HEADERS | PRIORITIZED, 1, b"\x80\0\0\7\xff" + REQUEST), id="exclusive"),
        pytest.param(
            raw(HEADERS, END_HEADERS | PADDED | PRIORITIZED, 1, padded(DEPENDS_ON_NOTHING + REQUEST, 9)), id="both"
        ),
        pytest.param(raw(HEADERS, END_HEADERS | 0xD2, 1, REQUEST), id="flags without a meaning"),
        pytest.param(split(0, 1, REQUEST, [len(REQUEST)]), id="an empty CONTINUATION"),
        pytest.param(split(0, 1, REQUEST, [0, 1, 2, 30]), id="many CONTINUATIONs"),
        pytest.param(split(0, 1, REQUEST, [0]), id="nothing in HEADERS"),
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_a_request(dialogue: Dialogue, asked: bytes, ends: bool) -> None:
    dialogue.open()
    flags = asked[4] | (END_STREAM if ends else 0)
    dialogue.receive(asked[:4], bytes((flags,)), asked[5:])
    assert dialogue.told() == [("request", 1), *([("ended", 1)] if ends else [])]
    assert dialogue.handler.requests[1].path == b"/p"
    assert dialogue.sent() == []


@pytest.mark.parametrize("between", [ping(b"12345678"), data(1, b"x", end=False), begin(3), raw(0xBE, 0, 1)])
def test_a_header_block_must_not_be_interrupted(dialogue: Dialogue, between: bytes) -> None:
    dialogue.open(raw(HEADERS, 0, 1, REQUEST[:5]))
    dialogue.receive(between)
    assert dialogue.sent() == ["GOAWAY 0 PROTOCOL_ERROR"]
    assert dialogue.told() == []


def test_a_header_block_goes_on_on_its_own_stream(dialogue: Dialogue) -> None:
    dialogue.open(raw(HEADERS, 0, 1, REQUEST[:5]))
    dialogue.receive(raw(CONTINUATION, END_HEADERS, 3, REQUEST[5:]))
    assert dialogue.sent() == ["GOAWAY 0 PROTOCOL_ERROR"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(
            raw(HEADERS, END_HEADERS | PADDED, 1), "FRAME_SIZE_ERROR", id="no room for the padding's length"
        ),
        pytest.param(raw(HEADERS, END_HEADERS | PADDED, 1, b"\4abc"), "PROTOCOL_ERROR", id="all padding"),
        pytest.param(raw(HEADERS, END_HEADERS | PRIORITIZED, 1, bytes(4)), "FRAME_SIZE_ERROR", id="half a priority"),
        pytest.param(
            raw(HEADERS, END_HEADERS | PRIORITIZED, 1, b"\x80\0\0\1\0" + REQUEST), "PROTOCOL_ERROR", id="on itself"
        ),
        pytest.param(raw(HEADERS, END_HEADERS, 2, REQUEST), "PROTOCOL_ERROR", id="an even number"),
        pytest.param(raw(HEADERS, END_HEADERS, 1, b"\x20\x80"), "COMPRESSION_ERROR", id="not HPACK"),
        pytest.param(raw(HEADERS, END_HEADERS, 1, REQUEST[:-1]), "COMPRESSION_ERROR", id="HPACK cut short"),
    ],
)
def test_headers_that_end_the_connection(dialogue: Dialogue, wrong: bytes, code: str) -> None:
    dialogue.open()
    dialogue.receive(wrong)
    [end] = dialogue.sent()
    assert end.startswith("GOAWAY")
    assert end.endswith(code)
    assert dialogue.told() == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(block(*POST[:2]), id="no path (8.3.1)"),
        pytest.param(block(*POST, (b"A", b"b")), id="upper case (8.2)"),
        pytest.param(block(*POST, (b"connection", b"close")), id="of the connection (8.2.2)"),
        pytest.param(block((b"a", b"b"), *POST), id="pseudo-header late (8.3)"),
        pytest.param(b"", id="empty"),
    ],
)
def test_malformed_requests_end_their_stream_alone(dialogue: Dialogue, wrong: bytes) -> None:
    dialogue.open(begin())
    dialogue.receive(headers(3, wrong, end=False), data(3, b"under way", end=True), begin(5))
    assert dialogue.sent() == ["RST_STREAM 3 PROTOCOL_ERROR"]
    assert dialogue.told() == [("request", 1), ("request", 5)]


# Their numbers, and what comes for which state (5.1, 5.1.1)


def test_numbers_may_be_left_out(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(begin(5), begin(2**31 - 1))
    assert dialogue.told() == [("request", 5), ("request", 2**31 - 1)]


IDLE = {
    "DATA": data(7, b"x", end=False),
    "padded DATA": raw(DATA, PADDED, 7, padded(b"x", 3)),
    "empty DATA": raw(DATA, 0, 7),
    "RST_STREAM": raw(3, 0, 7, bytes(4)),
    "WINDOW_UPDATE": raw(8, 0, 7, b"\0\0\0\1"),
    "WINDOW_UPDATE of nothing": raw(8, 0, 7, bytes(4)),
}


@pytest.mark.parametrize("frame", IDLE.values(), ids=IDLE)
def test_frames_of_an_idle_stream(dialogue: Dialogue, frame: bytes) -> None:
    dialogue.open(begin(5))
    dialogue.receive(frame)
    assert dialogue.sent() == ["GOAWAY 5 PROTOCOL_ERROR"]


@pytest.mark.parametrize("name", [*IDLE, "HEADERS"])
def test_a_client_never_begins_an_even_stream(dialogue: Dialogue, name: str) -> None:
    frame = begin(2) if name == "HEADERS" else IDLE[name].replace(b"\7", b"\2", 1)
    dialogue.open(begin(5))
    dialogue.receive(frame)
    assert dialogue.sent() == ["GOAWAY 5 PROTOCOL_ERROR"]


def test_a_stream_that_was_left_out_is_closed(dialogue: Dialogue) -> None:
    dialogue.open(begin(5))
    dialogue.receive(begin(3))
    assert dialogue.sent() == ["GOAWAY 5 STREAM_CLOSED"]


def test_priority_is_for_any_stream(dialogue: Dialogue) -> None:
    dialogue.open(begin(3))
    dialogue.receive(*(raw(PRIORITY, 0, stream, b"\0\0\0\3\x10") for stream in (1, 2, 3, 9)), begin(9))
    assert dialogue.sent() == []
    assert dialogue.told() == [("request", 3), ("request", 9)]


@pytest.mark.parametrize(("stream", "end"), [(3, "RST_STREAM 3 FRAME_SIZE_ERROR"), (9, "GOAWAY 3 FRAME_SIZE_ERROR")])
def test_priority_of_a_wrong_size(dialogue: Dialogue, stream: int, end: str) -> None:
    dialogue.open(begin(3))
    dialogue.receive(raw(PRIORITY, 0, stream, bytes(4)))
    assert dialogue.sent() == [end]


def test_data_behind_the_end_fails_the_stream(dialogue: Dialogue) -> None:
    dialogue.open(begin(end=True))
    dialogue.receive(data(1, b"x", end=False))
    assert dialogue.sent() == ["RST_STREAM 1 STREAM_CLOSED"]
    assert dialogue.told() == [("request", 1), ("ended", 1), ("reset", 1, "STREAM_CLOSED")]


def test_headers_behind_the_end_fail_the_connection(dialogue: Dialogue) -> None:
    dialogue.open(begin(end=True))
    dialogue.receive(begin(end=True))
    assert dialogue.sent() == ["GOAWAY 1 STREAM_CLOSED"]
    assert dialogue.told() == [("request", 1), ("ended", 1), ("reset", 1, "CANCEL")]


@pytest.mark.parametrize("frame", [data(1, b"x", end=True), begin(end=True), raw(DATA, PADDED, 1, padded(b"x", 1))])
@pytest.mark.parametrize("how", ["both ended it", "he reset it", "he reset it after we had ended it"])
def test_frames_of_a_closed_stream(dialogue: Dialogue, frame: bytes, how: str) -> None:
    dialogue.open(begin(end=how == "both ended it"))
    if how != "he reset it":
        dialogue.send_headers(1, end=True)
    if how != "both ended it":
        dialogue.receive(raw(3, 0, 1, b"\0\0\0\x08"))
    dialogue.sent()
    dialogue.receive(frame)
    assert dialogue.sent() == ["GOAWAY 1 STREAM_CLOSED"]


# DATA and trailers (6.1, 8.1)


def test_data(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.receive(
        data(1, b"one", end=False),
        raw(DATA, PADDED, 1, padded(b"two", 255)),
        raw(DATA, PADDED, 1, padded(b"", 5)),
        raw(DATA, 0, 1),
        raw(DATA, PADDED | END_STREAM, 1, padded(b"three", 0)),
    )
    assert dialogue.told() == [
        *(("request", 1), ("data", 1, b"one"), ("data", 1, b"two"), ("data", 1, b"three"), ("ended", 1))
    ]
    assert dialogue.sent() == []


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", "FRAME_SIZE_ERROR"), (b"\1", "PROTOCOL_ERROR"), (b"\4abc", "PROTOCOL_ERROR"), (b"\xff", "PROTOCOL_ERROR")],
)
def test_data_of_padding_alone(dialogue: Dialogue, payload: bytes, code: str) -> None:
    dialogue.open(begin())
    dialogue.receive(raw(DATA, PADDED, 1, payload))
    assert dialogue.sent() == [f"GOAWAY 1 {code}"]


def test_trailers(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.receive(data(1, b"x", end=False), split(END_STREAM, 1, literal(b"a", b"b"), [3]))
    assert dialogue.told() == [("request", 1), ("data", 1, b"x"), ("ended", 1)]
    assert dialogue.sent() == []


@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param(headers(1, literal(b"a", b"b"), end=False), id="that do not end the stream"),
        pytest.param(headers(1, literal(b":path", b"/"), end=True), id="with a pseudo-header"),
        pytest.param(headers(1, literal(b"A", b"b"), end=True), id="malformed"),
    ],
)
def test_wrong_trailers(dialogue: Dialogue, trailers: bytes) -> None:
    dialogue.open(begin())
    dialogue.receive(trailers, data(1, b"under way", end=True))
    assert dialogue.sent() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    assert dialogue.told() == [("request", 1), ("reset", 1, "PROTOCOL_ERROR")]


# content-length (8.1.1)


def of_length(length: int, *, end: bool = False) -> bytes:
    return begin(1, (b"content-length", b"%d" % length), end=end)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([of_length(0, end=True)], id="none"),
        pytest.param([of_length(3), data(1, b"abc", end=True)], id="at once"),
        pytest.param(
            [of_length(3), data(1, b"ab", end=False), data(1, b"c", end=False), raw(DATA, 1, 1)], id="parts"
        ),
        pytest.param(
            [of_length(3), raw(DATA, PADDED | END_STREAM, 1, padded(b"abc", 9))], id="padding is not counted"
        ),
        pytest.param([of_length(3), data(1, b"abc", end=False), headers(1, b"", end=True)], id="with trailers"),
    ],
)
def test_as_long_as_was_announced(dialogue: Dialogue, sent: list[bytes]) -> None:
    dialogue.open(*sent)
    assert dialogue.told()[-1] == ("ended", 1)
    assert dialogue.connection.streams[1].ended


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([of_length(1, end=True)], id="nothing comes"),
        pytest.param([of_length(3), data(1, b"abcd", end=False)], id="more"),
        pytest.param([of_length(0), data(1, b"a", end=False)], id="more than none"),
        pytest.param([of_length(3), data(1, b"ab", end=True)], id="less"),
        pytest.param(
            [of_length(3), data(1, b"ab", end=False), raw(DATA, END_STREAM, 1)], id="less, then an empty end"
        ),
        pytest.param([of_length(3), data(1, b"ab", end=False), headers(1, b"", end=True)], id="less, with trailers"),
    ],
)
def test_not_as_long_as_was_announced(dialogue: Dialogue, sent: list[bytes]) -> None:
    dialogue.open()
    dialogue.receive(*sent)
    assert dialogue.sent() == ["RST_STREAM 1 PROTOCOL_ERROR"]
    assert ("ended", 1) not in dialogue.told()
