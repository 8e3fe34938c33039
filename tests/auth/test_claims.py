"""Claims to a grant, by table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import EllipsisType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.auth.claims import ClaimsInvalid, Expected, judge, parse_claims
from extproc.auth.grant import Access, Grant, Rejection
from tests.auth.issuer import AUDIENCE, ISSUER, NOW, claims

EXPECTED = Expected(ISSUER, AUDIENCE, 60)
PULL = Access("repository", "a/b", "pull")


def verdict(changes: Mapping[str, object], now: float = NOW) -> Grant | Rejection:
    return judge(claims(**changes), EXPECTED, now)


def test_a_whole_token_as_gitlab_writes_it() -> None:
    assert verdict({}) == Grant(frozenset({PULL}), NOW + 300, "reader")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": ["x", AUDIENCE]}, id="aud is a list"),
        pytest.param({"sub": ...}, id="no sub"),
        pytest.param({"sub": None}, id="sub is null"),
        pytest.param({"sub": "jörg"}, id="sub is not ASCII"),
        pytest.param({"nbf": ..., "iat": ...}, id="no nbf, no iat"),
        pytest.param({"nbf": None, "iat": None}, id="nbf and iat are null"),
        pytest.param({"exp": NOW + 0.5}, id="exp is a fraction"),
        pytest.param({"exp": int(NOW) + 300}, id="exp is an integer"),
        pytest.param({"exp": 253402300799}, id="exp at the end of 9999"),
        pytest.param({"user": 5, "auth_type": [], "unknown": {"crit": 1}}, id="other claims"),
    ],
)
def test_accepted(changes: dict[str, object]) -> None:
    grant = verdict(changes)
    assert isinstance(grant, Grant)
    assert grant.access == {PULL}


@pytest.mark.parametrize("sub", [..., None])
def test_without_a_subject_it_is_nobodys(sub: object) -> None:
    assert verdict({"sub": sub}) == Grant(frozenset({PULL}), NOW + 300, "")


def test_without_nbf_and_iat_it_holds_since_ever() -> None:
    early = claims(nbf=..., iat=None, exp=300)
    assert isinstance(judge(early, Expected(ISSUER, AUDIENCE, 0), 0.5), Grant)


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("1800000300", id="text"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param([1], id="list"),
        pytest.param({}, id="object"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(float("-inf"), id="minus infinite"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(1e300, id="huge"),
        pytest.param(10**400, id="huge integer"),
        pytest.param(-(10**400), id="huge negative integer"),
        pytest.param(253402300800, id="year 10000"),
        pytest.param(1_800_000_300_000, id="milliseconds"),
    ],
)
def test_threat_times_that_are_none(claim: str, value: object) -> None:
    assert verdict({claim: value}) is Rejection.INVALID


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "other"}, id="another issuer"),
        pytest.param({"iss": ISSUER + "/"}, id="longer issuer"),
        pytest.param({"iss": ...}, id="no issuer"),
        pytest.param({"iss": [ISSUER]}, id="issuer is a list"),
        pytest.param({"aud": "other"}, id="another audience"),
        pytest.param({"aud": AUDIENCE[:-1]}, id="part of the audience"),
        pytest.param({"aud": AUDIENCE + "2"}, id="longer audience"),
        pytest.param({"aud": ...}, id="no audience"),
        pytest.param({"aud": []}, id="empty audience"),
        pytest.param({"aud": ["x", [AUDIENCE]]}, id="nested audience"),
        pytest.param({"aud": {AUDIENCE: 1}}, id="audience is an object"),
        pytest.param({"aud": [AUDIENCE, 1]}, id="an audience that is no text"),
        pytest.param({"exp": ...}, id="no exp"),
        pytest.param({"exp": None}, id="exp is null"),
        pytest.param({"sub": 5}, id="sub is a number"),
        pytest.param({"sub": "\ud800"}, id="sub is no Unicode"),
    ],
)
def test_invalid(changes: dict[str, object]) -> None:
    assert verdict(changes) is Rejection.INVALID
    # However old it is: what is not ours is not expired.
    if "exp" not in changes:
        assert verdict({**changes, "exp": 0}) is Rejection.INVALID


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"exp": NOW - 59.999}, None, id="exp just within"),
        pytest.param({"exp": NOW - 60}, Rejection.EXPIRED, id="exp at the edge"),
        pytest.param({"exp": NOW - 61}, Rejection.EXPIRED, id="exp just past"),
        pytest.param({"exp": 0}, Rejection.EXPIRED, id="exp is zero"),
        pytest.param({"exp": -1}, Rejection.EXPIRED, id="exp is negative"),
        pytest.param({"exp": -253402300799}, Rejection.EXPIRED, id="exp is the first second"),
        pytest.param({"exp": -253402300800}, Rejection.INVALID, id="exp before it"),
        pytest.param({"nbf": NOW + 60}, None, id="nbf at the edge"),
        pytest.param({"nbf": NOW + 60.001}, Rejection.INVALID, id="nbf just past"),
        pytest.param({"iat": NOW + 60}, None, id="iat at the edge"),
        pytest.param({"iat": NOW + 60.001}, Rejection.INVALID, id="iat just past"),
        pytest.param({"nbf": NOW + 60, "iat": NOW + 61}, Rejection.INVALID, id="iat past, nbf not"),
    ],
)
def test_threat_sixty_second_edges(changes: dict[str, object], expected: Rejection | None) -> None:
    result = verdict(changes)
    assert (result if isinstance(result, Rejection) else None) is expected


def test_no_leeway_is_no_leeway() -> None:
    strict = Expected(ISSUER, AUDIENCE, 0)
    assert isinstance(judge(claims(), strict, NOW + 299.9), Grant)
    assert judge(claims(), strict, NOW + 300) is Rejection.EXPIRED
    assert judge(claims(), strict, NOW - 5.1) is Rejection.INVALID


def entry(**changes: object) -> dict[str, object]:
    whole: dict[str, object | EllipsisType] = {"type": "repository", "name": "a/b", "actions": ["pull"], **changes}
    return {member: value for member, value in whole.items() if value is not ...}


@pytest.mark.parametrize(
    ("access", "rights"),
    [
        pytest.param(..., set(), id="absent"),
        pytest.param(None, set(), id="null"),
        pytest.param([], set(), id="empty"),
        pytest.param([entry(actions=[])], set(), id="no actions"),
        pytest.param([entry(actions=None)], set(), id="actions are null"),
        pytest.param([entry(actions=...)], set(), id="actions are absent"),
        pytest.param([entry(meta={"project_path": "a/b"}, **{"class": ""})], {PULL}, id="GitLab's meta"),
        pytest.param(
            [entry(), entry(actions=["push", "pull"])],
            {PULL, Access("repository", "a/b", "push")},
            id="entries of one name add up",
        ),
        pytest.param(
            [entry(), entry(type="registry", name="catalog", actions=["*"])],
            {PULL, Access("registry", "catalog", "*")},
            id="several resources",
        ),
        pytest.param([entry(name="group/*")], {Access("repository", "group/*", "pull")}, id="asterisk is kept"),
        pytest.param([entry(name=" a/b")], {Access("repository", " a/b", "pull")}, id="white space is kept"),
    ],
)
def test_access(access: object, rights: set[Access]) -> None:
    grant = verdict({"access": access})
    assert isinstance(grant, Grant)
    assert grant.access == rights


@pytest.mark.parametrize(
    "access",
    [
        pytest.param({}, id="object"),
        pytest.param("pull", id="text"),
        pytest.param(0, id="number"),
        pytest.param(["pull"], id="entry is text"),
        pytest.param([None], id="entry is null"),
        pytest.param([entry(), []], id="second entry is a list"),
        pytest.param([entry(type=...)], id="no type"),
        pytest.param([entry(name=...)], id="no name"),
        pytest.param([entry(name=None)], id="name is null"),
        pytest.param([entry(name=["a/b"])], id="name is a list"),
        pytest.param([entry(name="\udfff")], id="name is no Unicode"),
        pytest.param([entry(actions="pull")], id="actions are text"),
        pytest.param([entry(actions={"pull": 1})], id="actions are an object"),
        pytest.param([entry(actions=[1])], id="action is a number"),
        pytest.param([entry(actions=["pull", None])], id="action is null"),
    ],
)
def test_malformed_access_is_invalid(access: object) -> None:
    assert verdict({"access": access}) is Rejection.INVALID


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"{", id="broken"),
        pytest.param(b'{"exp":NaN}', id="NaN"),
        pytest.param(b'{"exp":Infinity}', id="Infinity"),
        pytest.param(b'{"exp":-Infinity}', id="-Infinity"),
        pytest.param(b'{"sub":"\xff"}', id="not UTF-8"),
        pytest.param('{"sub":"x"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"exp":' + b"9" * 5000 + b"}", id="number of 5,000 digits"),
        pytest.param(b'{"a":' + b"[" * 15_000 + b"]" * 15_000 + b"}", id="deep"),
    ],
)
def test_payloads_that_hold_no_claims(payload: bytes) -> None:
    with pytest.raises(ClaimsInvalid):
        parse_claims(payload)


def test_a_number_beyond_floats_is_no_time() -> None:
    assert judge({**claims(), **parse_claims(b'{"exp":1e999}')}, EXPECTED, NOW) is Rejection.INVALID


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(("exp", "nbf", "iat", "sub", "access", "aud", "iss")), JSON))
def test_never_raises_and_grants_only_for_our_issuer_and_audience(changes: dict[str, object]) -> None:
    result = verdict(changes)
    if isinstance(result, Grant):
        assert changes.get("iss", ISSUER) == ISSUER
        assert AUDIENCE in str(changes.get("aud", AUDIENCE))
        assert result.expires_at + 60 > NOW


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_payload_is_claims_or_invalid(payload: bytes) -> None:
    try:
        parsed = parse_claims(payload)
    except ClaimsInvalid:
        return
    assert isinstance(parsed, dict)
