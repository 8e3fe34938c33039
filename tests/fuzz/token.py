"""`TokenVerifier.verify` against joserfc, a second and stricter reader of RFC 7515 and RFC 7519.

An input is the request's Authorization values, one on each line; or, to get past the signature, three lines:

    sign KEY EDITS      a key of extproc's key set, or `stranger`, `hmac`, `none`; EDITS change the token when it is
    HEADER              signed: `12=A` puts A at place 12, or at the end, with commas between them
    CLAIMS

Only one way round: whatever we let in, joserfc lets in too, and reads the same in it. What we refuse on top, such as
algorithms that a key has no business with, is for tests/auth to say.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from random import Random
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning

from extproc.auth.grant import Access, Grant, Rejection
from extproc.auth.token import TokenVerifier
from tests.fuzz.json_text import changed
from tests.fuzz.keys import ALGORITHMS, jose_key, key_set, sign

NOW: Final = 1_800_000_000.0
ISSUER: Final = "gitlab-issuer"
AUDIENCE: Final = "container_registry"
_LEEWAY: Final = 60
_SIGNED: Final = re.compile(rb"sign (\w{1,10}) ?([^\n]*)\n([^\n]*)\n(.*)", re.DOTALL)
_EDIT: Final = re.compile(rb"(\d{1,5})=(.)", re.DOTALL)
_REGISTERED: Final = ("iss", "aud", "exp", "nbf", "iat")
_KINDS: Final = frozenset({*ALGORITHMS, "stranger", "hmac", "none"})
_LONGEST: Final = 16 * 1024
"""Characters of a token, as in extproc; joserfc's own limits are about memory."""
_DECISIVE: Final = {
    name: parameter
    for name, parameter in jws.JWSRegistry.default_header_registry.items()
    if name in {"alg", "kid", "crit"}
}


class _Registry(jws.JWSRegistry):
    """Judges the header's members that decide something: `typ` and others that nobody reads need not be texts."""

    default_header_registry = _DECISIVE
    max_header_length = max_payload_length = max_signature_length = _LONGEST


def check(data: bytes) -> str:
    values = authorization(data)
    verifier = TokenVerifier(key_set(), issuer=ISSUER, audience=AUDIENCE, leeway=_LEEWAY)
    verdict = verifier.verify(values, NOW)
    assert verifier.verify(values, NOW) == verdict, "remembered otherwise than it was judged"
    if isinstance(verdict, Rejection):
        return verdict.value
    _let_in(values, verdict)
    later = verifier.verify(values, verdict.expires_at + _LEEWAY)
    assert later is Rejection.EXPIRED, f"{later} when it is over"
    return "grant"


def authorization(data: bytes) -> tuple[str, ...]:
    """The values that an input stands for."""
    match = _SIGNED.fullmatch(data)
    if match is not None and match[1].decode() in _KINDS:
        return ("Bearer " + _token(match[1].decode(), match[2], match[3], match[4]),)
    return tuple(data.decode("latin-1").split("\n")) if data else ()


def mutate(data: bytes, random: Random) -> bytes:
    """Header or claims changed as JSON, and signed by what the first line says."""
    first, *rest = data.split(b"\n", 2)
    if len(rest) == 2:
        part = random.randrange(2)
        rest[part] = changed(rest[part], random)
    return b"\n".join((first, *rest))


def _token(kind: str, edits: bytes, header: bytes, claims: bytes) -> str:
    try:
        algorithm = json.loads(header).get("alg")
    except (ValueError, AttributeError, RecursionError):
        algorithm = None
    signed = f"{_segment(header)}.{_segment(claims)}"
    token = list(f"{signed}.{_segment(sign(kind, algorithm, signed.encode()))}")
    for place, put in _EDIT.findall(edits):
        at = int(place)
        token[at : at + 1] = put.decode("latin-1")
    return "".join(token)


def _segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _let_in(values: tuple[str, ...], grant: Grant) -> None:
    (value,) = values
    scheme, _, token = value.partition(" ")
    assert scheme.lower() == "bearer"
    header, claims = _by_joserfc(token)
    assert "crit" not in header
    assert claims["iss"] == ISSUER
    _in_time(claims)
    entries = claims.get("access") or []
    wanted = {Access(e["type"], e["name"], action) for e in entries for action in e.get("actions") or []}
    assert grant.access == wanted
    assert grant.expires_at == claims["exp"]
    assert grant.subject == (claims.get("sub") or "")


def _by_joserfc(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims. Raises AssertionError where joserfc refuses the token."""
    try:
        kind = jws.extract_compact(token.encode(), registry=_Registry()).headers()["kid"]
        registry = _Registry(algorithms=ALGORITHMS[kind], strict_check_header=False)
        with warnings.catch_warnings():
            # GitLab's issuers may still say EdDSA (RFC 9864 gives it another name).
            warnings.simplefilter("ignore", SecurityWarning)
            decoded = jwt.decode(token, jose_key(kind), registry=registry, algorithms=ALGORITHMS[kind])
    except (JoseError, ValueError, LookupError, TypeError) as error:
        raise AssertionError(f"joserfc refuses what we let in: {error!r}") from error
    return decoded.header, decoded.claims


def _in_time(claims: dict[str, Any]) -> None:
    """A claim that is null is one that is not there."""
    registry = jwt.JWTClaimsRegistry(
        int(NOW),
        _LEEWAY,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )
    try:
        registry.validate({claim: claims[claim] for claim in _REGISTERED if claims.get(claim) is not None})
    except JoseError as error:
        raise AssertionError(f"joserfc refuses the claims that we take: {error!r}") from error
