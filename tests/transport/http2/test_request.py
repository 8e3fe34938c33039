"""RFC 9113, sections 8.1.1, 8.2 and 8.3."""

from __future__ import annotations

import pytest

from extproc.transport.http2.request import Malformed, Request, check_trailers

Fields = list[tuple[bytes, bytes]]
POST: Fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/p"), (b":authority", b"me")]


def without(name: bytes) -> Fields:
    return [each for each in POST if each[0] != name]


def test_a_request() -> None:
    request = Request.of([*POST, (b"content-type", b"application/grpc"), (b"te", b"trailers")])
    assert (request.method, request.path, request.content_length) == (b"POST", b"/p", None)
    assert request.fields == {b"content-type": b"application/grpc", b"te": b"trailers"}


def test_of_a_repeated_field_the_first() -> None:
    assert Request.of([*POST, (b"a", b"1"), (b"b", b"2"), (b"a", b"3")]).fields == {b"a": b"1", b"b": b"2"}


def test_authority_may_be_missing_or_empty() -> None:
    assert Request.of(without(b":authority")).path == b"/p"
    assert Request.of([*without(b":authority"), (b":authority", b"")]).path == b"/p"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param([], ":method' is missing", id="nothing"),
        *(
            pytest.param(without(name), f"{name.decode()}' is missing or empty", id=f"no {name.decode()}")
            for name in (b":method", b":scheme", b":path")
        ),
        pytest.param([*without(b":path"), (b":path", b"")], "missing or empty", id="empty path"),
        pytest.param([*POST, (b":path", b"/q")], "there twice", id="two paths"),
        pytest.param([*POST, (b":status", b"200")], "no pseudo-header of a request", id="one of a response"),
        pytest.param([*POST, (b":protocol", b"websocket")], "no pseudo-header", id="one of RFC 8441, not announced"),
        pytest.param([*POST, (b":", b"")], "no pseudo-header", id="a colon"),
        pytest.param([(b"a", b"1"), *POST], "after other fields", id="pseudo-header behind a field"),
        pytest.param(
            [*without(b":path"), (b":path", b"/a\nb")], "has what no field may have", id="newline in the path"
        ),
        pytest.param([*POST, (b"", b"")], "no name of a field", id="no name"),
        pytest.param([*POST, (b"Accept", b"a")], "no name of a field", id="upper case"),
        pytest.param([*POST, (b"a b", b"a")], "no name of a field", id="blank in a name"),
        pytest.param([*POST, (b"a:b", b"a")], "no name of a field", id="colon in a name"),
        pytest.param([*POST, (b"a\x7f", b"a")], "no name of a field", id="control in a name"),
        pytest.param([*POST, (b"\xe4", b"a")], "no name of a field", id="not ASCII in a name"),
        pytest.param([*POST, (b"a", b"\0")], "has what no field may have", id="NUL"),
        pytest.param([*POST, (b"a", b"b\rc")], "has what no field may have", id="CR"),
        pytest.param([*POST, (b"a", b"b\nc")], "has what no field may have", id="LF"),
        pytest.param([*POST, (b"a", b" b")], "has what no field may have", id="begins with a blank"),
        pytest.param([*POST, (b"a", b"b\t")], "has what no field may have", id="ends with a tab"),
        pytest.param([*POST, (b"a", b" ")], "has what no field may have", id="a blank alone"),
        *(
            pytest.param([*POST, (name, b"x")], "does not belong into HTTP/2", id=name.decode())
            for name in (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te")
        ),
        *(
            pytest.param([*POST, (b"content-length", value)], "is no number", id=f"length {value!r}")
            for value in (b"", b"-1", b"+1", b"1, 1", b"1_0", b"0x1", b"\xb2", b"1" * 19)
        ),
        pytest.param(
            [*POST, (b"content-length", b"1"), (b"content-length", b"2")], "two values of content-length", id="two"
        ),
    ],
)
def test_malformed(fields: Fields, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        Request.of(fields)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param((b"a", b""), id="empty value"),
        pytest.param((b"!#$%&'*+-.^_`|~0a", b"b"), id="all that a name may have"),
        pytest.param((b"a", b"b \t c"), id="blanks within"),
        pytest.param((b"a", b"\x01\x7f\xff"), id="what RFC 9113 does not forbid"),
        pytest.param((b"te", b"trailers"), id="te"),
    ],
)
def test_well_formed(field: tuple[bytes, bytes]) -> None:
    assert Request.of([*POST, field]).fields == dict([field])


def test_content_length() -> None:
    assert Request.of([*POST, (b"content-length", b"007")]).content_length == 7
    assert Request.of([*POST, *[(b"content-length", b"5")] * 2]).content_length == 5


def test_trailers() -> None:
    check_trailers([(b"a", b"b")])
    check_trailers([])


@pytest.mark.parametrize(
    ("field", "why"),
    [
        pytest.param((b":method", b"POST"), "is in the trailers", id="pseudo-header"),
        pytest.param((b"A", b"b"), "no name of a field", id="name"),
        pytest.param((b"a", b"\n"), "has what no field may have", id="value"),
        pytest.param((b"connection", b"close"), "does not belong", id="of the connection"),
    ],
)
def test_malformed_trailers(field: tuple[bytes, bytes], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        check_trailers([(b"x", b"y"), field])


def test_what_is_told_of_a_name_is_short_and_printable() -> None:
    with pytest.raises(Malformed) as raised:
        Request.of([*POST, (b"\x1b[31m" + b"A" * 1000, b"")])
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 100
