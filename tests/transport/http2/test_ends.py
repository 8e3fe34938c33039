"""How we end streams, and what was under way then (RFC 9113, 5.1, 5.4.2, 8.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from extproc.transport.http2.frame import (
    END_STREAM,
    PREFACE,
    RST_STREAM,
    ErrorCode,
    data,
    headers,
    settings,
    window_update,
)
from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import NO_TABLE, Dialogue, begin, literal, raw, split

CANCEL = b"\0\0\0\x08"
TABLE = b"\x83\x86\x84"
""":method POST, :scheme http, :path / (RFC 7541, appendix A)."""


def test_an_answer_after_his_end(dialogue: Dialogue) -> None:
    dialogue.open(begin(end=True))
    dialogue.send_headers(1)
    dialogue.send_data(1, b"abc")
    dialogue.send_trailers(1)
    assert dialogue.sent() == ["HEADERS 1", "DATA 1 3", "HEADERS 1 end"]
    assert dialogue.told() == [("request", 1), ("ended", 1)]
    assert dialogue.connection.streams == {}


def test_an_answer_before_his_end_asks_for_no_more(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.send_headers(1, end=True)
    assert dialogue.sent() == ["HEADERS 1 end", "RST_STREAM 1 NO_ERROR"]


def test_nothing_is_sent_on_a_stream_that_has_ended(dialogue: Dialogue) -> None:
    dialogue.open(begin())
    dialogue.reset(1, ErrorCode.INTERNAL_ERROR)
    assert dialogue.sent() == ["RST_STREAM 1 INTERNAL_ERROR"]
    dialogue.send_headers(1)
    dialogue.send_data(1, b"abc")
    dialogue.send_trailers(1)
    dialogue.reset(1, ErrorCode.CANCEL)
    assert dialogue.sent() == []
    assert dialogue.told() == [("request", 1)]


UNDER_WAY = {
    "DATA": data(1, b"abc", end=False),
    "his end": data(1, b"", end=True),
    "trailers": headers(1, literal(b"a", b"b"), end=True),
    "trailers in parts": split(END_STREAM, 1, literal(b"a", b"b"), [2]),
    "WINDOW_UPDATE": window_update(1, 5),
    "WINDOW_UPDATE of nothing": raw(8, 0, 1, bytes(4)),
    "RST_STREAM": raw(RST_STREAM, 0, 1, CANCEL),
    "PRIORITY": raw(2, 0, 1, bytes(5)),
}


@pytest.mark.parametrize("frame", UNDER_WAY.values(), ids=UNDER_WAY)
@pytest.mark.parametrize("how", ["answered", "reset", "refused", "malformed"])
def test_what_was_under_way_is_left_alone(new_dialogue: Callable[..., Dialogue], frame: bytes, how: str) -> None:
    dialogue = new_dialogue(Limits(streams=0) if how == "refused" else None)
    dialogue.open(headers(1, NO_TABLE, end=False) if how == "malformed" else begin())
    if how == "answered":
        dialogue.send_headers(1, end=True)
    elif how == "reset":
        dialogue.reset(1, ErrorCode.CANCEL)
    dialogue.sent()
    dialogue.told()
    dialogue.receive(frame)
    assert (dialogue.sent(), dialogue.told()) == ([], [])
    assert not dialogue.connection.closed


@pytest.mark.parametrize("frame", ["WINDOW_UPDATE", "RST_STREAM", "PRIORITY"])
def test_what_may_be_under_way_when_both_have_ended_it(dialogue: Dialogue, frame: str) -> None:
    dialogue.open(begin(end=True))
    dialogue.send_headers(1, end=True)
    dialogue.receive(UNDER_WAY[frame])
    assert dialogue.sent() == ["HEADERS 1 end"]


def test_a_block_that_was_under_way_moves_the_tables_along(dialogue: Dialogue) -> None:
    # Before he knows of our settings he may use a table: what he puts in there he refers to afterwards.
    dialogue.receive(PREFACE, settings({}), headers(1, TABLE, end=False))
    dialogue.send_headers(1, end=True)
    dialogue.receive(headers(1, literal(b"x", b"y", b"\x40"), end=True), headers(3, TABLE + b"\xbe", end=True))
    assert dialogue.handler.requests[3].fields == {b"x": b"y"}


def test_his_reset_is_told_with_its_code(dialogue: Dialogue) -> None:
    dialogue.open(begin(), begin(3, end=True), begin(5))
    dialogue.receive(*(raw(RST_STREAM, 0, stream, CANCEL) for stream in (1, 3)))
    assert dialogue.told()[4:] == [("reset", 1, "CANCEL"), ("reset", 3, "CANCEL")]
    assert list(dialogue.connection.streams) == [5]
    assert dialogue.sent() == []


def test_the_ends_of_all_streams_that_may_be_open_are_remembered(new_dialogue: Callable[..., Dialogue]) -> None:
    # He can have begun them all, and sent DATA on each, before he hears of the first end.
    many = range(1, 2 * Limits().streams, 2)
    dialogue = new_dialogue()
    dialogue.open(*map(begin, many))
    for stream in many:
        dialogue.send_headers(stream, end=True)
    dialogue.sent()
    dialogue.receive(*(data(stream, b"x", end=True) for stream in many))
    assert dialogue.sent() == []
    assert not dialogue.connection.closed


def test_and_not_endlessly_many(new_dialogue: Callable[..., Dialogue]) -> None:
    dialogue = new_dialogue(Limits(streams=2))
    dialogue.open()
    for stream in range(1, 401, 2):
        dialogue.receive(begin(stream))
        dialogue.send_headers(stream, end=True)
    dialogue.sent()
    oldest = 401 - 2 * 104
    dialogue.receive(data(oldest, b"x", end=True))
    assert dialogue.sent() == []
    dialogue.receive(data(oldest - 2, b"x", end=True))
    assert dialogue.sent() == ["GOAWAY 399 STREAM_CLOSED"]
