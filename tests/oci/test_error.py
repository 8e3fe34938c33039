"""The error body."""

from __future__ import annotations

import json

import pytest

from extproc.oci.error import Code, error_body


@pytest.mark.parametrize(
    ("code", "message", "detail", "expected"),
    [
        pytest.param(
            Code.UNAVAILABLE,
            "primary unreachable",
            None,
            b'{"errors":[{"code":"UNAVAILABLE","message":"primary unreachable"}]}',
            id="no detail",
        ),
        pytest.param(
            Code.NAME_INVALID,
            "invalid",
            {"name": "A"},
            b'{"errors":[{"code":"NAME_INVALID","message":"invalid","detail":{"name":"A"}}]}',
            id="detail",
        ),
        pytest.param(
            Code.DENIED, "", [], b'{"errors":[{"code":"DENIED","message":"","detail":[]}]}', id="empty detail"
        ),
    ],
)
def test_error_body(code: Code, message: str, detail: object, expected: bytes) -> None:
    assert error_body(code, message, detail) == expected


def test_body_is_ascii_json_whatever_the_message() -> None:
    message = 'quote " newline \n é \ud800'
    body = error_body(Code.UNKNOWN, message)
    assert body.isascii()
    assert b"\n" not in body
    assert json.loads(body)["errors"][0]["message"] == message


def test_codes_are_spelled_as_in_the_specification() -> None:
    assert all(code.name == code.value for code in Code)
