"""From a token's claims to a grant (distribution token spec, "Claim set"; RFC 7519 §4.1).

Rules
1. `iss` and `aud` are ours, `exp` is there, times are finite numbers of seconds up to the year 9999,
   `access` has the specified shape: else INVALID, however old the token is.
2. `exp` is past by the leeway: EXPIRED. At the very second it is past (RFC 7519 §4.1.4).
3. Unknown claims, such as GitLab's `auth_type` and `user`, mean nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from extproc.auth.grant import Access, Grant, Rejection

_LAST_SECOND: Final = 253402300799
"""9999-12-31T23:59:59Z (RFC 3339's last year): beyond it is no date, but milliseconds or an attack."""


class ClaimsInvalid(ValueError):
    """The claims break rule 1."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What tokens must say, and the allowed clock difference in seconds."""

    issuer: str
    audience: str
    leeway: float


def judge(claims: Mapping[str, object], expected: Expected, now: float) -> Grant | Rejection:
    """The grant in the claims of a verified token; `now` in seconds since the Unix epoch. Never raises."""
    try:
        grant = _grant(claims, expected)
        starts = max(_time(claims, "nbf"), _time(claims, "iat"))
    except ClaimsInvalid:
        return Rejection.INVALID
    if now < starts - expected.leeway:
        return Rejection.INVALID
    return Rejection.EXPIRED if now >= grant.expires_at + expected.leeway else grant


def parse_claims(payload: bytes) -> Mapping[str, object]:
    """The claims as a JSON object in UTF-8, by the letter of RFC 8259. Raises ClaimsInvalid."""
    try:
        value = json.loads(payload.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ClaimsInvalid("not JSON") from error
    if not isinstance(value, dict):
        raise ClaimsInvalid("not a JSON object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _grant(claims: Mapping[str, object], expected: Expected) -> Grant:
    if claims.get("iss") != expected.issuer:
        raise ClaimsInvalid("iss")
    audience = claims.get("aud")
    if expected.audience not in ([_text(each) for each in audience] if isinstance(audience, list) else [audience]):
        raise ClaimsInvalid("aud")
    if claims.get("exp") is None:
        raise ClaimsInvalid("exp")
    subject = claims.get("sub")
    return Grant(
        access=frozenset(_accesses(claims.get("access"))),
        expires_at=_time(claims, "exp"),
        subject="" if subject is None else _text(subject),
    )


def _time(claims: Mapping[str, object], claim: str) -> float:
    """Seconds since the Unix epoch; 0 when absent or null."""
    value = claims.get(claim, 0)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ClaimsInvalid(claim)
    if not -_LAST_SECOND <= value <= _LAST_SECOND:
        raise ClaimsInvalid(claim)
    return float(value)


def _accesses(entries: object) -> Iterator[Access]:
    """The `access` claim; absent or null, as its `actions` may be, is no right at all."""
    for entry in _list(entries):
        if not isinstance(entry, dict):
            raise ClaimsInvalid("access")
        type_, name = _text(entry.get("type")), _text(entry.get("name"))
        for action in _list(entry.get("actions")):
            yield Access(type_, name, _text(action))


def _list(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ClaimsInvalid("not a list")
    return value


def _text(value: object) -> str:
    """A string that can be written as UTF-8: JSON escapes can spell lone surrogates."""
    if not isinstance(value, str):
        raise ClaimsInvalid("not a string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ClaimsInvalid("not UTF-8") from error
    return value
