"""What a peer may do, and how often (RFC 9113, 10.5): beyond it the connection ends by ENHANCE_YOUR_CALM."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from extproc.transport.http2.connection import Connection
from extproc.transport.http2.frame import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PRIORITY,
    RST_STREAM,
    WINDOW_UPDATE,
    data,
    headers,
    ping,
    settings,
)
from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import REQUEST, Dialogue, begin, padded, raw, split

FEW = Limits(streams=3, burst=10, refill=2.0, abandoned_burst=10, abandoned_refill=2.0)
NewDialogue = Callable[..., Dialogue]
CALM = "ENHANCE_YOUR_CALM"
CANCEL = b"\0\0\0\x08"

USELESS = {
    "SETTINGS": settings({}),
    "PING": ping(b"12345678"),
    "answers to no PING": raw(6, ACK, 0, b"12345678"),
    "PRIORITY": raw(PRIORITY, 0, 1, bytes(5)),
    "PRIORITY of idle streams": raw(PRIORITY, 0, 99, bytes(5)),
    "empty DATA": raw(DATA, 0, 1),
    "DATA of padding": raw(DATA, PADDED, 1, padded(b"", 3)),
    "unknown": raw(0xBE, 0, 0, b"x"),
    "GOAWAY": raw(GOAWAY, 0, 0, bytes(8)),
}


@pytest.mark.parametrize("frame", USELESS.values(), ids=USELESS)
def test_frames_of_no_use(new_dialogue: NewDialogue, frame: bytes) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open(begin())  # its SETTINGS are the first
    dialogue.receive(*[frame] * 9)
    assert dialogue.ends() == []
    dialogue.advance(1.0)
    dialogue.receive(*[frame] * 2)
    assert dialogue.ends() == []
    dialogue.receive(frame)
    assert dialogue.ends() == [f"GOAWAY 1 {CALM}"]
    assert dialogue.told()[-1] == ("reset", 1, "CANCEL")


@pytest.mark.parametrize("frame", [raw(RST_STREAM, 0, 1, CANCEL), raw(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")])
def test_frames_of_streams_that_nobody_remembers(new_dialogue: NewDialogue, frame: bytes) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open(begin(), raw(RST_STREAM, 0, 1, CANCEL))
    dialogue.receive(*[frame] * 9)
    assert dialogue.sent() == []
    dialogue.receive(frame)
    assert dialogue.sent() == [f"GOAWAY 1 {CALM}"]


def test_rapid_reset(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open()
    begun = [begin(stream) + raw(RST_STREAM, 0, stream, CANCEL) for stream in range(1, 60, 2)]
    dialogue.receive(*begun[:10])
    assert dialogue.sent() == []
    dialogue.advance(0.5)
    dialogue.receive(begun[10])
    assert dialogue.sent() == []
    dialogue.receive(*begun[11:])
    assert dialogue.sent() == [f"GOAWAY 23 {CALM}"]
    # Of the one that was too many, too: whoever counts streams must come to none.
    assert [each[1] for each in dialogue.told() if each[0] == "reset"] == list(range(1, 24, 2))


@pytest.mark.parametrize("ends", ["reset", "end and reset", "end, and reset when the answer is whole"])
def test_to_reset_after_the_answer_is_no_rapid_reset(new_dialogue: NewDialogue, ends: str) -> None:
    # Envoy ends every exchange so; the last two are what its closing and resetting at once may come to.
    dialogue = new_dialogue(FEW)
    dialogue.open()
    for stream in range(1, 200, 2):
        dialogue.receive(begin(stream), data(stream, b"message", end=False))
        dialogue.send_headers(stream)
        dialogue.send_data(stream, b"reply")
        if ends != "reset":
            dialogue.receive(data(stream, b"", end=True))
        if ends == "end, and reset when the answer is whole":
            dialogue.send_trailers(stream)
        dialogue.receive(raw(RST_STREAM, 0, stream, CANCEL))
    assert dialogue.ends() == []
    assert dialogue.connection.streams == {}
    assert not dialogue.connection.closed


def test_so_is_a_window_that_is_opened_when_the_answer_is_whole(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open()
    for stream in range(1, 200, 2):
        dialogue.receive(begin(stream, end=True))
        dialogue.send_headers(stream)
        dialogue.send_data(stream, b"reply")
        dialogue.send_trailers(stream)
        dialogue.receive(*[raw(WINDOW_UPDATE, 0, stream, b"\0\0\0\5")] * 2)
    assert dialogue.ends() == []


def test_streams_beyond_what_was_announced_are_refused(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open()
    dialogue.receive(*map(begin, (1, 3, 5, 7, 9)))
    assert dialogue.sent() == ["RST_STREAM 7 REFUSED_STREAM", "RST_STREAM 9 REFUSED_STREAM"]
    assert list(dialogue.connection.streams) == [1, 3, 5]
    dialogue.send_headers(3, end=True)
    dialogue.receive(begin(11))
    assert list(dialogue.connection.streams) == [1, 5, 11]


STILLBORN = {
    "refused": REQUEST,
    "malformed": REQUEST + REQUEST[1:],
}


@pytest.mark.parametrize("encoded", STILLBORN.values(), ids=STILLBORN)
def test_streams_that_cannot_begin(new_dialogue: NewDialogue, encoded: bytes) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open(*map(begin, (1, 3, 5)))
    numbers = range(7, 100, 2)
    dialogue.receive(*(headers(number, encoded, end=False) for number in numbers))
    sent = dialogue.sent()
    assert len(sent) == 11
    assert sent[-1] == f"GOAWAY 27 {CALM}"


def test_faulty_streams(new_dialogue: NewDialogue) -> None:
    # What we reset for a fault of his is as cheap for him as his own reset ("MadeYouReset", CVE-2025-8671).
    dialogue = new_dialogue(FEW)
    dialogue.open()
    for stream in range(1, 100, 2):
        dialogue.receive(begin(stream), raw(WINDOW_UPDATE, 0, stream, bytes(4)))
    sent = dialogue.sent()
    assert sent[:-1] == [f"RST_STREAM {stream} PROTOCOL_ERROR" for stream in range(1, 20, 2)]
    assert sent[-1] == f"GOAWAY 21 {CALM}"
    assert [each[1] for each in dialogue.told() if each[0] == "reset"] == list(range(1, 22, 2))


def test_streams_behind_our_goaway(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open(begin())
    dialogue.call(Connection.shut_down)
    dialogue.receive(ping(b"goodbye!", ack=True), *map(begin, range(3, 60, 2)))
    assert dialogue.ends()[-1] == f"GOAWAY 21 {CALM}"


# Header blocks


def test_a_block_in_many_frames(new_dialogue: NewDialogue) -> None:
    for cuts, fine in ((31, True), (32, False)):
        dialogue = new_dialogue()
        dialogue.open()
        dialogue.receive(split(0, 1, REQUEST, [5] * cuts))
        assert dialogue.ends() == ([] if fine else [f"GOAWAY 0 {CALM}"])


def test_a_block_without_an_end(new_dialogue: NewDialogue) -> None:
    # CVE-2024-27316
    dialogue = new_dialogue(Limits(header_block=20_000))
    dialogue.open(raw(HEADERS, 0, 1, bytes(16_384)))
    dialogue.receive(raw(CONTINUATION, 0, 1, bytes(3616)))
    assert dialogue.sent() == []
    dialogue.receive(raw(CONTINUATION, 0, 1, b"\0"))
    assert dialogue.sent() == [f"GOAWAY 0 {CALM}"]


def test_a_block_that_is_too_long_in_one_frame(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(Limits(header_block=100))
    dialogue.open()
    dialogue.receive(raw(HEADERS, 0, 1, bytes(101)))
    assert dialogue.sent() == [f"GOAWAY 0 {CALM}"]


def test_a_list_of_headers_that_grows_when_decoded(new_dialogue: NewDialogue) -> None:
    # Each counts 32 bytes and its own (10.5.1): a byte each, as sent.
    for count, fine in ((10, True), (30, False)):
        dialogue = new_dialogue(Limits(header_list=1000))
        dialogue.open()
        dialogue.receive(raw(HEADERS, END_HEADERS, 1, REQUEST + b"\x90" * count))
        assert dialogue.ends() == ([] if fine else ["GOAWAY 1 COMPRESSION_ERROR"])


def test_what_is_kept_of_a_closed_connection(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(FEW)
    dialogue.open(begin())
    dialogue.receive(raw(6, 0, 1, bytes(8)), b"x" * 100_000)
    dialogue.receive(b"y" * 100_000)
    assert len(dialogue.connection._input) == 0
