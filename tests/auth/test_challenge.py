"""The 401's header and body."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.auth.challenge import Challenge
from extproc.auth.grant import Access

CHALLENGE = Challenge("https://gitlab.example.com/jwt/auth", "container_registry")
START = 'Bearer realm="https://gitlab.example.com/jwt/auth",service="container_registry"'
PULL = Access("repository", "a/b", "pull")
PUSH = Access("repository", "a/b", "push")


@pytest.mark.parametrize(
    ("accesses", "error", "rest"),
    [
        pytest.param((), None, "", id="base without token"),
        pytest.param((), "invalid_token", ',error="invalid_token"', id="base with a bad token"),
        pytest.param((PULL,), None, ',scope="repository:a/b:pull"', id="pull without token"),
        pytest.param(
            (PULL, PUSH),
            "insufficient_scope",
            ',scope="repository:a/b:pull,push",error="insufficient_scope"',
            id="actions of one resource",
        ),
        pytest.param(
            (PULL, PUSH, Access("repository", "c", "pull")),
            None,
            ',scope="repository:a/b:pull,push repository:c:pull"',
            id="two resources",
        ),
        pytest.param((PULL, PUSH, PULL), None, ',scope="repository:a/b:pull,push"', id="repeated"),
        pytest.param((Access("registry", "catalog", "*"),), None, ',scope="registry:catalog:*"', id="catalog"),
    ],
)
def test_header(accesses: tuple[Access, ...], error: str | None, rest: str) -> None:
    assert CHALLENGE.header(accesses, error) == START + rest


def test_header_quotes_its_values() -> None:
    header = Challenge('http://h/?q="a\\b"', 'my "service"').header((), None)
    assert header == r'Bearer realm="http://h/?q=\"a\\b\"",service="my \"service\""'


def test_what_no_header_can_carry_is_a_question_mark() -> None:
    header = CHALLENGE.header([Access("repository", "a\r\nb\xe9", "pull")], None)
    assert header == START + ',scope="repository:a??b?:pull"'


QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'


@given(st.text(), st.text(), st.none() | st.text())
def test_threat_header_injection(name: str, action: str, error: str | None) -> None:
    header = CHALLENGE.header([Access("repository", name, action)], error)
    pattern = f"{re.escape(START)},scope={QUOTED}" + ("" if error is None else f",error={QUOTED}")
    assert re.fullmatch(pattern, header)


@pytest.mark.parametrize(
    ("realm", "service", "field"),
    [
        pytest.param("http://h\r\nX: y", "s", "realm", id="line break"),
        pytest.param("http://é", "s", "realm", id="not ASCII"),
        pytest.param("http://h", "s\x00", "service", id="NUL"),
    ],
)
def test_values_that_no_header_can_carry_are_refused(realm: str, service: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} .* must be printable ASCII"):
        Challenge(realm, service)


def test_body_is_distributions() -> None:
    assert CHALLENGE.body((PULL, PUSH)) == (
        b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":['
        b'{"Type":"repository","Class":"","Name":"a/b","Action":"pull"},'
        b'{"Type":"repository","Class":"","Name":"a/b","Action":"push"}]}]}'
    )


def test_body_without_rights_has_no_detail() -> None:
    assert json.loads(CHALLENGE.body(())) == {
        "errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]
    }
