"""gRPC's words over HTTP/2 (PROTOCOL-HTTP2.md)."""

from __future__ import annotations

import urllib.parse

import hpack
import pytest

from extproc.transport import grpc_wire
from extproc.transport.grpc_wire import BadMessage, Messages, Status, message, timeout, trailers, trailers_only
from extproc.transport.http2.frame import LARGEST_FRAME

LARGEST = 1000


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in hpack.Decoder(1 << 20).decode(block, raw=True)]


def taken(*pieces: bytes) -> list[bytes]:
    """Messages of DATA that comes so."""
    messages, found = Messages(LARGEST), []
    for piece in pieces:
        messages.add(piece)
        while (one := messages.next()) is not None:
            found.append(one)
    assert not messages
    assert not len(messages)
    return found


# Heads and trailers


def test_the_head_of_an_answer() -> None:
    assert decoded(grpc_wire.RESPONSE) == [(b":status", b"200"), (b"content-type", b"application/grpc")]


def test_what_is_no_grpc_is_refused_in_the_words_of_http() -> None:
    assert decoded(grpc_wire.UNSUPPORTED_MEDIA_TYPE) == [(b":status", b"415")]


def test_trailers() -> None:
    assert decoded(grpc_wire.OK) == [(b"grpc-status", b"0")]
    assert decoded(trailers(Status.INTERNAL)) == [(b"grpc-status", b"13")]
    assert decoded(trailers(Status.NOT_FOUND, "no")) == [(b"grpc-status", b"5"), (b"grpc-message", b"no")]


def test_trailers_only() -> None:
    head = decoded(grpc_wire.RESPONSE)
    assert decoded(trailers_only(Status.NOT_FOUND)) == [*head, (b"grpc-status", b"5")]


def test_who_sends_compressed_messages_is_told_what_is_taken() -> None:
    assert (b"grpc-accept-encoding", b"identity") in decoded(trailers_only(Status.UNIMPLEMENTED, "no"))


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        pytest.param("all is well ~", b"all is well ~", id="as it is"),
        pytest.param("100 %", b"100 %25", id="the percent sign"),
        pytest.param("a\nb\r\0\x7f", b"a%0Ab%0D%00%7F", id="controls"),
        pytest.param("ä€", b"%C3%A4%E2%82%AC", id="not ASCII"),
        pytest.param("\ud800", b"?", id="what UTF-8 has not"),
    ],
)
def test_messages_of_a_status_are_percent_encoded(text: str, encoded: bytes) -> None:
    assert decoded(trailers(Status.INTERNAL, text))[1] == (b"grpc-message", encoded)


@pytest.mark.parametrize("size", [126, 127, 128, 254, 255, 256, 16_000])
def test_lengths_in_more_than_one_byte(size: int) -> None:
    assert decoded(grpc_wire._literal(b"a", b"x" * size)) == [(b"a", b"x" * size)]


@pytest.mark.parametrize("text", ["x" * 100_000, "€" * 100_000])
def test_the_message_of_a_status_is_cut_to_what_one_frame_holds(text: str) -> None:
    block = trailers_only(Status.INTERNAL, text)
    assert len(block) <= LARGEST_FRAME
    told = urllib.parse.unquote(decoded(block)[-1][1].decode(), errors="strict")
    assert len(told) >= 500
    assert text.startswith(told)


# Deadlines


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9), (b"00000010S", 10)],
)
def test_a_timeout(value: bytes, seconds: float) -> None:
    assert timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", [b"", b"S", b"1", b"1s", b"1 S", b"-1S", b"+1S", b"1.5S", b"123456789S", b"1S\n", "١S".encode(), b"0x1S"]
)
def test_no_timeout(value: bytes) -> None:
    assert timeout(value) is None


# Messages


@pytest.mark.parametrize("texts", [[b""], [b"abc"], [b"abc", b"", b"d" * LARGEST]], ids=len)
def test_messages_cut_anywhere(texts: list[bytes]) -> None:
    data = b"".join(map(message, texts))
    assert taken(data) == texts
    for at in range(len(data)):
        assert taken(data[:at], data[at:]) == texts
    assert taken(*(data[at : at + 1] for at in range(len(data)))) == texts


def test_what_is_kept_of_a_message_that_is_not_whole() -> None:
    messages = Messages(LARGEST)
    messages.add(message(b"abc")[:-1])
    assert messages.next() is None
    assert len(messages) == 7


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        pytest.param(b"\1\0\0\0\0", Status.UNIMPLEMENTED, "compressed", id="compressed"),
        pytest.param(b"\2\0\0\0\1", Status.UNIMPLEMENTED, "compressed", id="no flag that there is"),
        pytest.param(b"\0\0\0\3\xe9", Status.RESOURCE_EXHAUSTED, "1001 bytes; 1000 is the most", id="one too many"),
        pytest.param(b"\0\xff\xff\xff\xff", Status.RESOURCE_EXHAUSTED, "4294967295 bytes", id="the largest"),
    ],
)
def test_bad_messages_are_known_by_their_prefix(data: bytes, status: Status, text: str) -> None:
    messages = Messages(LARGEST)
    messages.add(data[:4])
    assert messages.next() is None
    messages.add(data[4:])
    with pytest.raises(BadMessage, match=text) as raised:
        messages.next()
    assert raised.value.status is status
