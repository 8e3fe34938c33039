"""The connection: preface, SETTINGS, PING, GOAWAY, frames of no stream, shut-down (RFC 9113, 3.4, 4, 6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hyperframe.frame import GoAwayFrame, SettingsFrame

from extproc.transport.http2.connection import Connection
from extproc.transport.http2.frame import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    ErrorCode,
    goaway,
    ping,
    settings,
    window_update,
)
from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import OPENING, REQUEST, Dialogue, Recorder, begin, chunks, frames, raw

UNKNOWN = 0xBE


def setting(number: int, value: int) -> bytes:
    return raw(SETTINGS, 0, 0, number.to_bytes(2) + value.to_bytes(4))


# The preface (3.4)


def test_what_we_say_first() -> None:
    ours = frames(Connection(Recorder(), Limits(streams=7)).take())
    assert isinstance(ours[0], SettingsFrame)
    assert ours[0].settings == {1: 0, 3: 7, 4: 1 << 21, 6: 65_536}
    assert len(ours) == 2


def test_a_connection_window_of_the_first_size_is_not_opened() -> None:
    assert len(frames(Connection(Recorder(), Limits(connection_window=65_535)).take())) == 1


def test_settings_are_acknowledged(dialogue: Dialogue) -> None:
    dialogue.receive(PREFACE, settings({}))
    assert dialogue.sent() == ["SETTINGS", "WINDOW_UPDATE 0 +16711681", "SETTINGS ack"]


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP/1.1"),
        pytest.param(b"\x16\x03\x01", id="TLS"),
        pytest.param(PREFACE[:-1] + b"x", id="the last byte differs"),
        pytest.param(settings({}), id="none"),
        pytest.param(PREFACE + ping(b"12345678"), id="PING first"),
        pytest.param(PREFACE + SETTINGS_ACK, id="only an acknowledgement"),
        pytest.param(PREFACE + begin(), id="HEADERS first"),
    ],
)
def test_a_wrong_preface(dialogue: Dialogue, opening: bytes) -> None:
    dialogue.receive(opening, b"more")
    assert dialogue.ends() == ["GOAWAY 0 PROTOCOL_ERROR"]
    assert dialogue.connection.closed
    assert "preface" in dialogue.connection.fault
    assert dialogue.told() == []


# SETTINGS (6.5)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(raw(SETTINGS, 0, 1), "PROTOCOL_ERROR", id="on a stream"),
        pytest.param(raw(SETTINGS, 0, 0, bytes(5)), "FRAME_SIZE_ERROR", id="cut short"),
        pytest.param(raw(SETTINGS, ACK, 0, bytes(6)), "FRAME_SIZE_ERROR", id="an acknowledgement with some"),
        pytest.param(SETTINGS_ACK, "PROTOCOL_ERROR", id="acknowledged twice"),
        pytest.param(setting(2, 2), "PROTOCOL_ERROR", id="ENABLE_PUSH"),
        pytest.param(setting(4, 2**31), "FLOW_CONTROL_ERROR", id="INITIAL_WINDOW_SIZE"),
        pytest.param(setting(5, 16_383), "PROTOCOL_ERROR", id="MAX_FRAME_SIZE too small"),
        pytest.param(setting(5, 2**24), "PROTOCOL_ERROR", id="MAX_FRAME_SIZE too large"),
    ],
)
def test_wrong_settings(dialogue: Dialogue, wrong: bytes, code: str) -> None:
    dialogue.open()
    dialogue.receive(wrong)
    assert dialogue.sent() == [f"GOAWAY 0 {code}"]
    assert dialogue.connection.fault.startswith(code)


@pytest.mark.parametrize(
    "right",
    [
        pytest.param(setting(0x4242, 1), id="unknown"),
        pytest.param(setting(1, 2**32 - 1), id="HEADER_TABLE_SIZE: we use none"),
        pytest.param(setting(2, 0), id="ENABLE_PUSH off"),
        pytest.param(setting(2, 1), id="ENABLE_PUSH on"),
        pytest.param(setting(3, 0), id="MAX_CONCURRENT_STREAMS: we begin none"),
        pytest.param(setting(4, 2**31 - 1), id="the largest INITIAL_WINDOW_SIZE"),
        pytest.param(setting(5, 2**24 - 1), id="the largest MAX_FRAME_SIZE"),
        pytest.param(setting(6, 0), id="MAX_HEADER_LIST_SIZE: advice"),
        pytest.param(raw(SETTINGS, 0xFE, 0), id="flags without a meaning"),
    ],
)
def test_right_settings(dialogue: Dialogue, right: bytes) -> None:
    dialogue.open()
    dialogue.receive(right)
    assert dialogue.sent() == ["SETTINGS ack"]


def test_of_settings_named_twice_the_last_counts(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(raw(SETTINGS, 0, 0, b"\0\4\0\0\0\5" + b"\0\4\0\0\0\1"), begin())
    dialogue.sent()
    dialogue.send_data(1, b"12345678")
    assert dialogue.sent() == ["DATA 1 1"]


def test_the_largest_frame_that_he_takes(dialogue: Dialogue) -> None:
    dialogue.open(setting(4, 1 << 20), window_update(0, 1 << 20), begin())
    dialogue.send_data(1, bytes(40_000))
    dialogue.receive(setting(5, 30_000))
    dialogue.send_data(1, bytes(40_000))
    assert dialogue.sent() == [
        *("DATA 1 16384", "DATA 1 16384", "DATA 1 7232", "SETTINGS ack"),
        *("DATA 1 30000", "DATA 1 10000"),
    ]


def test_what_larger_windows_let_out_comes_after_their_acknowledgement(dialogue: Dialogue) -> None:
    # Until then a strict peer counts by what was before (6.5.3).
    dialogue.open(setting(4, 3), begin(), begin(3))
    dialogue.send_data(1, b"12345")
    dialogue.send_data(3, b"12345")
    assert dialogue.sent() == ["DATA 1 3", "DATA 3 3"]
    dialogue.receive(setting(4, 4))
    assert dialogue.sent() == ["SETTINGS ack", "DATA 1 1", "DATA 3 1"]


def test_a_window_that_grows_and_shrinks_in_one_frame_lets_nothing_out(dialogue: Dialogue) -> None:
    dialogue.open(setting(4, 3), begin())
    dialogue.send_data(1, b"12345")
    dialogue.receive(raw(SETTINGS, 0, 0, b"\0\4\0\0\0\7" + b"\0\4\0\0\0\3"))
    assert dialogue.sent() == ["DATA 1 3", "SETTINGS ack"]


# PING (6.7), GOAWAY (6.8), and frames that belong nowhere


def test_ping_is_answered(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(ping(b"12345678"), ping(b"87654321", ack=True), raw(PING, 0xFE, 0, b"abcdefgh"))
    assert dialogue.sent() == ["PING ack 12345678", "PING ack abcdefgh"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        pytest.param(raw(PING, 0, 1, bytes(8)), "PROTOCOL_ERROR", id="PING on a stream"),
        pytest.param(raw(PING, 0, 0, bytes(7)), "FRAME_SIZE_ERROR", id="PING too short"),
        pytest.param(raw(PING, ACK, 0, bytes(9)), "FRAME_SIZE_ERROR", id="PING too long"),
        pytest.param(raw(GOAWAY, 0, 1, bytes(8)), "PROTOCOL_ERROR", id="GOAWAY on a stream"),
        pytest.param(raw(GOAWAY, 0, 0, bytes(7)), "FRAME_SIZE_ERROR", id="GOAWAY too short"),
        pytest.param(raw(PRIORITY, 0, 0, bytes(5)), "PROTOCOL_ERROR", id="PRIORITY on stream 0"),
        pytest.param(raw(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), "PROTOCOL_ERROR", id="PUSH_PROMISE"),
        pytest.param(raw(CONTINUATION, END_HEADERS, 1), "PROTOCOL_ERROR", id="CONTINUATION of nothing"),
        pytest.param(raw(DATA, 0, 0, b"x"), "PROTOCOL_ERROR", id="DATA on stream 0"),
        pytest.param(raw(DATA, 0, 0), "PROTOCOL_ERROR", id="empty DATA on stream 0"),
        pytest.param(raw(HEADERS, END_HEADERS, 0, REQUEST), "PROTOCOL_ERROR", id="HEADERS on stream 0"),
        pytest.param(raw(HEADERS, 0, 0, REQUEST), "PROTOCOL_ERROR", id="unfinished HEADERS on stream 0"),
        pytest.param(raw(RST_STREAM, 0, 0, bytes(4)), "PROTOCOL_ERROR", id="RST_STREAM of stream 0"),
        pytest.param(raw(RST_STREAM, 0, 1, bytes(3)), "FRAME_SIZE_ERROR", id="RST_STREAM too short"),
        pytest.param(raw(WINDOW_UPDATE, 0, 0, bytes(5)), "FRAME_SIZE_ERROR", id="WINDOW_UPDATE too long"),
        pytest.param(raw(UNKNOWN, 0, 0, bytes(16_385)), "FRAME_SIZE_ERROR", id="larger than we take"),
    ],
)
def test_wrong_frames(dialogue: Dialogue, wrong: bytes, code: str) -> None:
    dialogue.open()
    dialogue.receive(wrong)
    assert dialogue.sent() == [f"GOAWAY 0 {code}"]
    assert dialogue.connection.closed


def test_the_highest_bit_of_a_stream_means_nothing(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(raw(PING, 0, 2**31, b"12345678"), raw(HEADERS, END_HEADERS, 2**31 + 1, REQUEST))
    assert dialogue.sent() == ["PING ack 12345678"]
    assert dialogue.told() == [("request", 1)]


def test_frames_of_extensions_are_left_alone(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(raw(UNKNOWN, 0xFF, 0, b"x"), raw(UNKNOWN, 0, 5, bytes(16_384)), ping(b"12345678"))
    assert dialogue.sent() == ["PING ack 12345678"]


def test_after_his_goaway_what_is_open_goes_on(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.receive(goaway(0, ErrorCode.NO_ERROR, b"bye"))
    dialogue.send_headers(1)
    dialogue.send_trailers(1)
    assert dialogue.sent() == ["HEADERS 1", "HEADERS 1 end", "RST_STREAM 1 NO_ERROR"]
    assert not dialogue.connection.closed


# Our own end (6.8)


def test_shut_down_in_two_steps(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.call(Connection.shut_down)
    dialogue.call(Connection.shut_down)
    assert dialogue.sent() == ["GOAWAY 2147483647 NO_ERROR", "PING goodbye!"]
    # He began this one before he could know.
    dialogue.receive(begin(3), ping(b"goodbye!", ack=True), begin(5), chunks(5, 10, end=True), begin(7))
    assert dialogue.sent() == ["GOAWAY 3 NO_ERROR"]
    dialogue.receive(ping(b"goodbye!", ack=True))
    for stream in (1, 3):
        assert not dialogue.connection.closed
        dialogue.send_headers(stream, end=True)
    assert dialogue.connection.closed
    assert dialogue.connection.fault == ""
    assert [each for each in dialogue.told() if each[0] != "request"] == []
    dialogue.receive(ping(b"12345678"))
    dialogue.call(Connection.shut_down)
    assert dialogue.sent() == [f"{kind} {stream} {rest}" for stream in (1, 3) for kind, rest in ENDS]


ENDS = (("HEADERS", "end"), ("RST_STREAM", "NO_ERROR"))


def test_shut_down_without_streams_ends_with_his_answer(dialogue: Dialogue) -> None:
    dialogue.open()
    dialogue.receive(ping(b"goodbye!", ack=True))  # to nothing that we asked
    dialogue.call(Connection.shut_down)
    assert not dialogue.connection.closed
    dialogue.receive(ping(b"goodbye!", ack=True))
    assert dialogue.connection.closed
    assert dialogue.sent()[-1] == "GOAWAY 0 NO_ERROR"


def test_what_comes_in_no_case_any_more_still_moves_the_tables_along(dialogue: Dialogue) -> None:
    # Beyond the last stream a block that cannot be decoded is an error as ever (4.3).
    dialogue.open(begin())
    dialogue.call(Connection.shut_down)
    dialogue.receive(ping(b"goodbye!", ack=True), raw(HEADERS, END_HEADERS, 3, b"\xff\xff"))
    assert dialogue.ends()[-1] == "GOAWAY 3 COMPRESSION_ERROR"


def test_close_tells_of_what_is_open(dialogue: Dialogue) -> None:
    dialogue.open(begin(), begin(3))
    for _ in range(2):
        dialogue.call(lambda connection: connection.close(ErrorCode.NO_ERROR))
    assert dialogue.sent() == ["GOAWAY 3 NO_ERROR"]
    assert dialogue.told()[2:] == [("reset", 1, "CANCEL"), ("reset", 3, "CANCEL")]
    assert dialogue.connection.streams == {}
    dialogue.send_data(1, b"late")
    dialogue.receive(begin(5))
    dialogue.call(Connection.end_of_input)
    assert (dialogue.sent(), dialogue.told()) == ([], [])


def test_the_end_of_input_ends_what_is_open(dialogue: Dialogue) -> None:
    dialogue.open(begin(), begin(3, end=True))
    dialogue.call(Connection.end_of_input)
    assert dialogue.told() == [
        *(("request", 1), ("request", 3), ("ended", 3)),
        *(("reset", 1, "CANCEL"), ("reset", 3, "CANCEL")),
    ]
    assert dialogue.connection.closed


def test_what_we_say_of_a_fault_is_short_and_nothing_of_his(new_dialogue: Callable[..., Dialogue]) -> None:
    # The decoder's own message has the whole block in it, with whatever secret is there.
    dialogue = new_dialogue()
    dialogue.open()
    dialogue.receive(raw(HEADERS, END_HEADERS, 1, b"\x20\0\x06secret\x7f" + b"\x80" * 16_000))
    assert dialogue.connection.fault.startswith("COMPRESSION_ERROR")
    assert len(dialogue.connection.fault) < 200
    assert "secret" not in dialogue.connection.fault
    last = frames(dialogue._out)[-1]
    assert isinstance(last, GoAwayFrame)
    assert len(last.additional_data) < 200


# However the bytes are cut


CONVERSATION = (
    OPENING
    + begin(1, (b"content-length", b"5"))
    + raw(DATA, 0x8, 1, b"\3abc\0\0\0")
    + raw(HEADERS, 0x28, 3, b"\2\0\0\0\0\x10" + REQUEST[:7] + b"\0\0")
    + raw(CONTINUATION, 0, 3, b"")
    + raw(CONTINUATION, END_HEADERS, 3, REQUEST[7:])
    + raw(DATA, 0x1, 1, b"de")
    + raw(UNKNOWN, 0, 3, b"unknown")
    + window_update(3, 5)
    + ping(b"12345678")
    + raw(RST_STREAM, 0, 3, b"\0\0\0\x08")
    + raw(PING, 0, 1, bytes(8))
)


def test_cut_in_two_anywhere() -> None:
    whole = Dialogue()
    whole.receive(CONVERSATION)
    sent, told = whole.sent(), whole.told()
    assert sent[2:] == ["SETTINGS ack", "PING ack 12345678", "GOAWAY 3 PROTOCOL_ERROR"]
    assert told == [
        *(("request", 1), ("data", 1, b"abc"), ("request", 3), ("data", 1, b"de"), ("ended", 1)),
        *(("reset", 3, "CANCEL"), ("reset", 1, "CANCEL")),
    ]
    for at in range(1, len(CONVERSATION)):
        cut = Dialogue()
        cut.receive(CONVERSATION[:at])
        cut.receive(CONVERSATION[at:])
        assert (cut.sent(), cut.told()) == (sent, told), at
