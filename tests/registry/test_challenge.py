"""Challenges, by the grammar of RFC 9110 §11.6.1."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.registry.challenge import Challenge, parse_challenges

GITLAB = 'Bearer realm="https://gitlab.example.com/jwt/auth",service="container_registry",scope="repository:a/b:pull"'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((), [], id="no header"),
        pytest.param(("",), [], id="empty"),
        pytest.param((" , ,",), [], id="only commas"),
        pytest.param(
            (GITLAB,),
            [
                (
                    "bearer",
                    {
                        "realm": "https://gitlab.example.com/jwt/auth",
                        "service": "container_registry",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
            id="a registry's",
        ),
        pytest.param(("Basic",), [("basic", {})], id="a scheme alone"),
        pytest.param(("BASIC ReAlM=x",), [("basic", {"realm": "x"})], id="case and an unquoted value"),
        pytest.param(
            ('Basic realm = "a" , charset="UTF-8"',), [("basic", {"realm": "a", "charset": "UTF-8"})], id="BWS"
        ),
        pytest.param(("Negotiate YWJj==, Basic",), [("negotiate", {}), ("basic", {})], id="token68"),
        pytest.param(
            ('Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"',),
            [
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
                ("basic", {"realm": "simple"}),
            ],
            id="the RFC's own example",
        ),
        pytest.param(
            ('Basic realm="x"', 'Bearer realm="y"'),
            [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})],
            id="two lines",
        ),
        pytest.param(
            (', Bearer realm="a,b" ,, error="invalid_token",',),
            [("bearer", {"realm": "a,b", "error": "invalid_token"})],
            id="empty elements",
        ),
        pytest.param(('Bearer realm="ключ \udcff"',), [("bearer", {"realm": "ключ \udcff"})], id="beyond ASCII"),
        pytest.param(('Bearer realm="a"garbage',), [], id="text after a value"),
        pytest.param(('Bearer realm="a',), [], id="an open quote"),
        pytest.param(('Bearer realm="a", realm="b"',), [], id="a parameter twice"),
        pytest.param(('Bearer realm="a", REALM="b"',), [], id="a parameter twice in another case"),
        pytest.param(('Bearer realm="a" scope="b"',), [], id="no comma"),
        pytest.param(("Bearer =x",), [], id="no name"),
        pytest.param(("Bearer realm=",), [("bearer", {})], id="no value: a token68 by the grammar"),
        pytest.param(('"Bearer" realm=x',), [], id="a quoted scheme"),
        pytest.param(('Bearer realm="a\x00b"',), [], id="a control character"),
        pytest.param(('Bearer realm="a"', "@"), [], id="one fault spoils all"),
    ],
)
def test_challenges(values: tuple[str, ...], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(values)] == expected


_WORDS = st.text("!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits, min_size=1, max_size=12)
_TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20)
_CHALLENGES = st.lists(
    st.tuples(_WORDS, st.dictionaries(_WORDS.map(str.lower), _TEXTS, min_size=1, max_size=4)), max_size=4
)


@settings(deadline=None)
@given(_CHALLENGES, st.sampled_from([",", ", ", " , ", ",,\t"]), st.booleans())
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]], comma: str, lines: bool) -> None:
    written = [
        f"{scheme} " + comma.join(f'{name}="{_escaped(value)}"' for name, value in parameters.items())
        for scheme, parameters in challenges
    ]
    values = written if lines else [comma.join(written)]
    expected = tuple(Challenge(scheme.lower(), parameters) for scheme, parameters in challenges)
    assert parse_challenges(values) == expected


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from('aB=", \\\t\x00é;')), max_size=3))
def test_anything_else_is_read_or_refused_but_never_raises(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def test_a_long_fault_is_found_in_linear_time() -> None:
    assert parse_challenges(['Bearer realm="' + "\\a" * 200_000]) == ()
    assert parse_challenges(["a " * 100_000]) == ()
    assert parse_challenges(["Bearer" + " " * 400_000 + "\x00"]) == ()
