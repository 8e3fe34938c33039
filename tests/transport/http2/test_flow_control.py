"""Windows, both ways (RFC 9113, 5.2, 6.9, 6.9.1, 6.9.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from extproc.transport.http2.frame import (
    DATA,
    END_STREAM,
    LARGEST_WINDOW,
    PADDED,
    RST_STREAM,
    WINDOW_UPDATE,
    ErrorCode,
    Setting,
    data,
    settings,
    window_update,
)
from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import Dialogue, begin, chunks, padded, raw

SMALL = Limits(window=100, connection_window=65_535)
NewDialogue = Callable[..., Dialogue]


def first_window(size: int) -> bytes:
    return settings({Setting.INITIAL_WINDOW_SIZE: size})


# What he may send


def test_a_window_is_for_exactly_so_much(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(SMALL)
    dialogue.open(begin(), data(1, bytes(100), end=False))
    assert dialogue.sent() == []
    dialogue.receive(data(1, b"x", end=False))
    assert dialogue.sent() == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]
    assert dialogue.told()[-1] == ("reset", 1, "FLOW_CONTROL_ERROR")


def test_padding_counts(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(SMALL)
    dialogue.open(begin())
    dialogue.receive(raw(DATA, PADDED, 1, padded(b"x" * 50, 50)))
    assert dialogue.sent() == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]


def test_padding_is_given_back_at_once(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(SMALL)
    dialogue.open(begin())
    dialogue.receive(*[raw(DATA, PADDED, 1, padded(b"", 24))] * 3)
    assert dialogue.sent() == [f"WINDOW_UPDATE 1 +{25}"] * 3


def test_what_was_used_opens_the_window_by_quarters(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(SMALL)
    dialogue.open(begin(), data(1, bytes(100), end=False))
    dialogue.used(1, 24)
    assert dialogue.sent() == []
    dialogue.used(1, 1)
    assert dialogue.sent() == ["WINDOW_UPDATE 1 +25"]
    dialogue.receive(data(1, bytes(25), end=False))
    dialogue.used(1, 100)
    assert dialogue.sent() == ["WINDOW_UPDATE 1 +100"]
    dialogue.receive(data(1, bytes(100), end=False))
    assert dialogue.sent() == []
    dialogue.receive(data(1, b"x", end=False))
    assert dialogue.sent() == ["RST_STREAM 1 FLOW_CONTROL_ERROR"]


def test_a_window_that_nobody_needs_is_not_opened(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(SMALL)
    dialogue.open(begin(), data(1, bytes(100), end=True))
    dialogue.used(1, 100)
    assert dialogue.sent() == []


def test_the_connection_window_is_for_all_streams(dialogue: Dialogue) -> None:
    dialogue.open(*(begin(stream) + chunks(stream, 1 << 21) for stream in range(1, 17, 2)))
    assert dialogue.sent() == []
    dialogue.receive(begin(17), data(17, b"x", end=False))
    assert dialogue.sent() == ["GOAWAY 17 FLOW_CONTROL_ERROR"]


@pytest.mark.parametrize("by", ["use", "our reset", "his reset", "our early end", "a fault"])
def test_the_connection_window_opens_again_by(new_dialogue: NewDialogue, by: str) -> None:
    dialogue = new_dialogue(Limits(connection_window=65_535))
    dialogue.open(begin(), chunks(1, 32_767))
    half = {
        "use": lambda: dialogue.used(1, 32_767),
        "our reset": lambda: dialogue.reset(1, ErrorCode.CANCEL),
        "his reset": lambda: dialogue.receive(raw(RST_STREAM, 0, 1, bytes(4))),
        "our early end": lambda: dialogue.send_headers(1, end=True),
        "a fault": lambda: dialogue.receive(raw(WINDOW_UPDATE, 0, 1, bytes(4))),
    }
    half[by]()
    assert [each for each in dialogue.sent() if each.startswith("WINDOW_UPDATE 0")] == []
    dialogue.receive(begin(3), data(3, b"x", end=False))
    dialogue.used(3, 1)
    assert dialogue.sent() == ["WINDOW_UPDATE 0 +32768"]


def test_what_was_under_way_to_an_ended_stream_counts_too(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(Limits(connection_window=65_535))
    dialogue.open(begin())
    dialogue.send_headers(1, end=True)
    dialogue.sent()
    dialogue.receive(chunks(1, 32_768))
    assert dialogue.sent() == ["WINDOW_UPDATE 0 +32768"]
    dialogue.receive(raw(DATA, PADDED | END_STREAM, 1, padded(b"", 100)))
    assert dialogue.sent() == []
    assert dialogue.told() == [("request", 1)]


def test_it_cannot_be_more_than_the_connection_window_either(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(Limits(connection_window=65_535))
    dialogue.open(begin(), begin(3), chunks(3, 65_530))
    dialogue.send_headers(1, end=True)
    dialogue.receive(data(1, b"123456", end=False))
    assert dialogue.ends()[-1] == "GOAWAY 3 FLOW_CONTROL_ERROR"


def test_use_of_a_stream_that_has_ended_counts_once(new_dialogue: NewDialogue) -> None:
    dialogue = new_dialogue(Limits(connection_window=65_535))
    dialogue.open(begin(), chunks(1, 30_000))
    dialogue.reset(1, ErrorCode.CANCEL)
    dialogue.used(1, 30_000)
    dialogue.receive(begin(3), chunks(3, 2768))
    dialogue.used(3, 2768)
    assert dialogue.sent() == ["RST_STREAM 1 CANCEL", "WINDOW_UPDATE 0 +32768"]


# What we may send


def test_the_first_windows_are_65535(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.send_data(1, bytes(65_536))
    assert dialogue.sent() == ["DATA 1 16384"] * 3 + ["DATA 1 16383"]
    dialogue.receive(window_update(1, 10))
    assert dialogue.sent() == []
    dialogue.receive(window_update(0, 1))
    assert dialogue.sent() == ["DATA 1 1"]
    assert dialogue.told() == [("request", 1), ("sent", 1)]


def test_frames_are_no_larger_than_he_takes(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.send_data(1, bytes(16_385))
    assert dialogue.sent() == ["DATA 1 16384", "DATA 1 1"]
    assert dialogue.told() == [("request", 1)]


def test_what_waits_goes_in_its_order_and_the_trailers_behind_it(dialogue: Dialogue) -> None:
    dialogue.open(first_window(4), begin(end=True))
    for piece in (b"abc", b"def", b"ghi"):
        dialogue.send_data(1, piece)
    dialogue.send_trailers(1)
    assert dialogue.sent() == ["DATA 1 3", "DATA 1 1"]
    dialogue.receive(window_update(1, 2))
    assert dialogue.sent() == ["DATA 1 2"]
    dialogue.receive(window_update(1, 3))
    assert dialogue.sent() == ["DATA 1 3", "HEADERS 1 end"]
    assert dialogue._out.count(b"abc") == 1
    # With its end on its way the handler has nothing more to hear.
    assert dialogue.told() == [("request", 1), ("ended", 1)]
    assert dialogue.connection.streams == {}


def test_no_data_needs_no_window(dialogue: Dialogue) -> None:
    dialogue.open(first_window(0), begin())
    dialogue.send_headers(1)
    dialogue.send_data(1, b"")
    dialogue.send_trailers(1)
    assert dialogue.sent() == ["HEADERS 1", "DATA 1 0", "HEADERS 1 end", "RST_STREAM 1 NO_ERROR"]


def test_a_changed_first_window_is_for_streams_that_are_open_too(dialogue: Dialogue) -> None:
    dialogue.open(first_window(10), begin(), begin(3))
    dialogue.send_data(1, b"123456")
    dialogue.receive(first_window(12), begin(5))
    assert [dialogue.handler.streams[stream].send_window for stream in (1, 3, 5)] == [6, 12, 12]


def test_it_may_make_windows_negative(dialogue: Dialogue) -> None:
    dialogue.open(first_window(10), begin())
    dialogue.send_data(1, b"123456789")
    dialogue.receive(first_window(2))
    assert dialogue.handler.streams[1].send_window == -7
    dialogue.send_data(1, b"abc")
    dialogue.receive(window_update(1, 7))
    assert dialogue.sent() == ["DATA 1 9", "SETTINGS ack"]
    dialogue.receive(window_update(1, 1))
    assert dialogue.sent() == ["DATA 1 1"]
    dialogue.receive(first_window(100))
    assert dialogue.sent() == ["SETTINGS ack", "DATA 1 2"]
    assert dialogue.told() == [("request", 1), ("sent", 1)]


def test_a_connection_window_that_opens_is_for_whoever_waits(dialogue: Dialogue) -> None:
    dialogue.open(first_window(100_000), begin(), begin(3), begin(5))
    dialogue.send_data(1, bytes(65_535))
    for stream in (3, 5):
        dialogue.send_data(stream, bytes(10))
    dialogue.sent()
    dialogue.receive(window_update(0, 15))
    assert dialogue.sent() == ["DATA 3 10", "DATA 5 5"]
    dialogue.receive(window_update(0, 15))
    assert dialogue.sent() == ["DATA 5 5"]
    assert dialogue.told()[3:] == [("sent", 3), ("sent", 5)]


def test_a_reset_stream_lets_nothing_out_any_more(dialogue: Dialogue) -> None:
    dialogue.open(first_window(1), begin())
    dialogue.send_data(1, b"abc")
    dialogue.send_trailers(1)
    dialogue.receive(raw(RST_STREAM, 0, 1, bytes(4)), window_update(0, 9), first_window(100))
    assert dialogue.sent() == ["DATA 1 1", "SETTINGS ack"]


# Wrong updates


@pytest.mark.parametrize(
    ("update", "end"),
    [
        pytest.param(raw(WINDOW_UPDATE, 0, 0, bytes(4)), "GOAWAY 1 PROTOCOL_ERROR", id="nothing"),
        pytest.param(raw(WINDOW_UPDATE, 0, 1, bytes(4)), "RST_STREAM 1 PROTOCOL_ERROR", id="nothing, on a stream"),
        pytest.param(raw(WINDOW_UPDATE, 0, 1, b"\x80\0\0\0"), "RST_STREAM 1 PROTOCOL_ERROR", id="the bit alone"),
        pytest.param(raw(WINDOW_UPDATE, 0, 1, b"\0\0\1"), "GOAWAY 1 FRAME_SIZE_ERROR", id="too short"),
        pytest.param(window_update(0, LARGEST_WINDOW), "GOAWAY 1 FLOW_CONTROL_ERROR", id="too large"),
        pytest.param(
            window_update(1, LARGEST_WINDOW), "RST_STREAM 1 FLOW_CONTROL_ERROR", id="too large, on a stream"
        ),
        pytest.param(
            window_update(1, LARGEST_WINDOW - 65_535) + first_window(65_536),
            "GOAWAY 1 FLOW_CONTROL_ERROR",
            id="too large by SETTINGS",
        ),
    ],
)
def test_wrong_updates(dialogue: Dialogue, update: bytes, end: str) -> None:
    dialogue.open(begin())
    dialogue.receive(update)
    assert dialogue.ends() == [end]
    assert dialogue.told()[-1] == ("reset", 1, "CANCEL" if end.startswith("GOAWAY") else end.split()[2])


def test_the_largest_windows(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.receive(*(window_update(stream, LARGEST_WINDOW - 65_535) for stream in (0, 1)))
    assert dialogue.sent() == []


def test_opening_a_window_byte_by_byte_does_not_copy_what_waits(dialogue: Dialogue) -> None:
    dialogue.open(first_window(0), begin())
    dialogue.send_data(1, bytes(1 << 16))
    waiting = dialogue.handler.streams[1].waiting
    dialogue.receive(*[window_update(1, 1)] * 50)
    assert dialogue.sent() == ["DATA 1 1"] * 50
    assert dialogue.handler.streams[1].waiting is waiting
