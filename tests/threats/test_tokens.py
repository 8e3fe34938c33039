"""Generated tokens, judged by our verifier and by another implementation: we may refuse more, never less."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import pytest

from extproc.auth.grant import Grant, Rejection
from extproc.auth.keys import KeySet
from extproc.auth.token import TokenVerifier
from tests.auth.issuer import AUDIENCE, ISSUER, NOW, jwk, verification_key
from tests.threats.oracle import Oracle, Verdict
from tests.threats.tokens import OURS, Case, cases


class Read(NamedTuple):
    """A refused token, read by the letter of nothing: for telling why it was refused."""

    header: Mapping[str, Any]
    payload: bytes
    claims: Mapping[str, Any]
    rejection: Rejection

    @classmethod
    def of(cls, token: str, rejection: Rejection) -> Read:
        first, second, _ = token.split(".")
        payload = base64.urlsafe_b64decode(second + "==")
        return cls(json.loads(base64.urlsafe_b64decode(first + "==")), payload, json.loads(payload), rejection)

    @property
    def rights(self) -> Iterator[object]:
        for entry in self.claims.get("access") or ():
            yield from (entry.get("type"), entry.get("name"), *(entry.get("actions") or ()))

    @property
    def actions(self) -> Iterator[object]:
        for entry in self.claims.get("access") or ():
            yield entry.get("actions")


def _has_surrogates(value: object) -> bool:
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


EXPLAINED: Final[Mapping[str, Callable[[Read], bool]]] = {
    "no kid: the primary may know whose key it is": lambda read: (
        "kid" not in read.header and read.rejection is Rejection.UNVERIFIABLE
    ),
    "an algorithm's new name (RFC 9864): none of the issuers uses it": lambda read: read.header["alg"] == "Ed25519",
    "crit: no extension is understood, nor is an empty list of them one": lambda read: "crit" in read.header,
    "b64: what it says of the payload counts only with crit (RFC 7797 §6)": lambda read: "b64" in read.header,
    "a time beyond the year 9999": lambda read: read.claims["exp"] > 253402300799,
    "sub is no text": lambda read: not isinstance(read.claims.get("sub", ""), str),
    "aud lists what is no text": lambda read: any(not isinstance(text, str) for text in read.claims["aud"]),
    "a right's type, name or action is no text": lambda read: any(not isinstance(text, str) for text in read.rights),
    "access or actions is no list": lambda read: any(
        not isinstance(held, list | None) for held in (read.claims.get("access"), *read.actions)
    ),
    "a lone surrogate, which is no text": lambda read: any(
        _has_surrogates(text) for text in (read.claims.get("sub"), *read.rights)
    ),
    "not UTF-8, or with a byte order mark (RFC 8259 §8.1)": lambda read: (
        read.payload[:3] == b"\xef\xbb\xbf" or b"\0" in read.payload
    ),
    "NaN and Infinity, which are not JSON": lambda read: b"NaN" in read.payload or b"Infinity" in read.payload,
}
"""Where we refuse what the other takes, and how to tell it. None of them is a token of a known issuer."""


@cache
def generated() -> tuple[Case, ...]:
    return tuple(cases())


@cache
def theirs(token: str) -> Verdict | None:
    """The other implementation's verdict; asked once for each token."""
    return oracle().judge(token, NOW)


@cache
def oracle() -> Oracle:
    return Oracle({kind: jwk(kind) for kind in OURS}, ISSUER, AUDIENCE)


def verifier(keys: Mapping[str, str] | None = None, leeway: float = 60) -> TokenVerifier:
    held = {kid: verification_key(kind) for kid, kind in (keys or {kind: kind for kind in OURS}).items()}
    return TokenVerifier(KeySet(held), issuer=ISSUER, audience=AUDIENCE, leeway=leeway, cache_size=1)


def taken_by_us_alone(ours: TokenVerifier) -> list[tuple[str, str]]:
    """Group and case of each token that we take and the other does not, or takes for other rights or longer."""
    found = []
    for case in generated():
        grant = ours.verify([f"Bearer {case.token}"], NOW)
        if isinstance(grant, Grant):
            same = Verdict(frozenset((type_, name, action) for type_, name, action in grant.access), grant.expires_at)
            if theirs(case.token) != same:
                found.append((case.group, case.what))
    return found


def test_threat_no_token_is_taken_that_another_implementation_refuses() -> None:
    assert len({case.token for case in generated()}) > 3000
    assert taken_by_us_alone(verifier()) == []


def test_threat_what_is_refused_here_alone_is_explained() -> None:
    ours = verifier()
    unexplained, used, both = [], set(), 0
    for case in generated():
        verdict = ours.verify([f"Bearer {case.token}"], NOW)
        if theirs(case.token) is None:
            continue
        if isinstance(verdict, Grant):
            both += 1
            continue
        read = Read.of(case.token, verdict)
        reasons = {why for why, explains in EXPLAINED.items() if explains(read)}
        used |= reasons
        if not reasons:
            unexplained.append((case.group, case.what, verdict))
    assert unexplained == []
    assert used == set(EXPLAINED), "an explanation that explains nothing"
    assert both > 200, "the generator must make tokens that pass, too"


@pytest.mark.parametrize(
    ("lax", "group"),
    [
        pytest.param(verifier(leeway=61), "time", id="a longer leeway"),
        pytest.param(verifier({**{kind: kind for kind in OURS}, "unknown": "ed25519"}), "algorithm", id="a kid more"),
        pytest.param(verifier({**{kind: kind for kind in OURS}, "rsa": "other"}), "header", id="another's key"),
    ],
)
def test_the_comparison_finds_a_lax_verifier(lax: TokenVerifier, group: str) -> None:
    assert group in {found for found, _ in taken_by_us_alone(lax)}
