"""Frames that we send, read by hyperframe."""

from __future__ import annotations

from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame, WindowUpdateFrame

from extproc.transport.http2 import frame
from extproc.transport.http2.frame import HIGHEST_STREAM, LARGEST_WINDOW, ErrorCode, Setting
from tests.transport.http2.dialogue import frames, told_frame


def test_settings() -> None:
    [read] = frames(frame.settings({Setting.HEADER_TABLE_SIZE: 0, Setting.MAX_FRAME_SIZE: 2**24 - 1}))
    assert isinstance(read, SettingsFrame)
    assert read.settings == {1: 0, 5: 2**24 - 1}
    assert not read.flags


def test_the_acknowledgement_of_settings() -> None:
    [read] = frames(frame.SETTINGS_ACK)
    assert told_frame(read) == "SETTINGS ack"


def test_headers_and_data() -> None:
    first, second, third = frames(
        frame.headers(1, b"block", end=False)
        + frame.data(HIGHEST_STREAM, b"some", end=True)
        + frame.headers(3, b"trailers", end=True)
    )
    assert isinstance(first, HeadersFrame)
    assert (first.stream_id, first.data, set(first.flags)) == (1, b"block", {"END_HEADERS"})
    assert isinstance(second, DataFrame)
    assert (second.stream_id, second.data, set(second.flags)) == (HIGHEST_STREAM, b"some", {"END_STREAM"})
    assert isinstance(third, HeadersFrame)
    assert (third.data, set(third.flags)) == (b"trailers", {"END_HEADERS", "END_STREAM"})


def test_the_largest_window() -> None:
    [read] = frames(frame.window_update(5, LARGEST_WINDOW))
    assert isinstance(read, WindowUpdateFrame)
    assert (read.stream_id, read.window_increment) == (5, LARGEST_WINDOW)


def test_ping() -> None:
    ours, answer = frames(frame.ping(b"12345678") + frame.ping(b"87654321", ack=True))
    assert isinstance(ours, PingFrame)
    assert isinstance(answer, PingFrame)
    assert (ours.opaque_data, set(ours.flags)) == (b"12345678", set())
    assert (answer.opaque_data, set(answer.flags)) == (b"87654321", {"ACK"})


def test_ends() -> None:
    one, other = frames(frame.rst_stream(7, ErrorCode.CANCEL) + frame.goaway(9, ErrorCode.NO_ERROR, b"why"))
    assert told_frame(one) == "RST_STREAM 7 CANCEL"
    assert isinstance(other, GoAwayFrame)
    assert (other.last_stream_id, other.error_code, other.additional_data) == (9, 0, b"why")
