"""A second judge of tokens: joserfc for the signature, and the claims by the token specification, written anew.

Nothing here comes from extproc, so that an error there is not repeated here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping
from typing import NamedTuple

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

_TYPES: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
}
_UNREAD = ("jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty")
"""Members that name another key or say nothing: ignored whatever they hold (RFC 7515 §4)."""
_LEEWAY = 60


class Verdict(NamedTuple):
    """What a token that passed grants: (type, name, action) each, until `expires`."""

    access: frozenset[tuple[str, str, str]]
    expires: float


class Oracle:
    """Judges by these public JWKs, by `kid`; without one any of them will do, as distribution has it."""

    def __init__(self, jwks: Mapping[str, Mapping[str, object]], issuer: str, audience: str) -> None:
        self._keys = {kid: _imported(jwk) for kid, jwk in jwks.items()}
        self._issuer = issuer
        self._audience = audience

    def judge(self, token: str, now: float) -> Verdict | None:
        """None: refused."""
        payload = self._payload(token)
        return None if payload is None else self._claims(payload, now)

    def _payload(self, token: str) -> bytes | None:
        try:
            header = jws.extract_compact(token.encode(), registry=_registry(())).headers()
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        kid = header.get("kid")
        if kid is None:
            candidates = list(self._keys.values())
        else:
            candidates = [self._keys[kid]] if isinstance(kid, str) and kid in self._keys else []
        for key, algorithms in candidates:
            try:
                with warnings.catch_warnings():
                    # EdDSA is deprecated as a name (RFC 9864), and none the less in use.
                    warnings.simplefilter("ignore", SecurityWarning)
                    found = jws.deserialize_compact(token, key, algorithms, registry=_registry(algorithms))
            except (JoseError, ValueError, TypeError, AttributeError):
                continue
            return found.payload or b""
        return None

    def _claims(self, payload: bytes, now: float) -> Verdict | None:
        try:
            claims = json.loads(payload)
            if not self._ours(claims):
                return None
            # Token spec, "Using the signed token": time is in bounds. Leeway for clocks that differ.
            expires = float(_number(claims["exp"]))
            if expires + _LEEWAY <= now:
                return None
            for claim in ("nbf", "iat"):
                if claims.get(claim) is not None and float(_number(claims[claim])) - _LEEWAY > now:
                    return None
            rights = {
                (str(entry["type"]), str(entry["name"]), str(action))
                for entry in claims.get("access") or ()
                for action in entry.get("actions") or ()
            }
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return None
        return Verdict(frozenset(rights), expires)

    def _ours(self, claims: Mapping[str, object]) -> bool:
        audience = claims.get("aud")
        named = [audience] if isinstance(audience, str) else audience
        return claims["iss"] == self._issuer and isinstance(named, list) and self._audience in named


def _imported(jwk: Mapping[str, object]) -> tuple[Key, Collection[str]]:
    kind = str(jwk["kty"])
    public: dict[str, str | list[str]] = {member: str(value) for member, value in jwk.items()}
    return _TYPES[kind].import_key(public), _ALGORITHMS[kind if kind == "RSA" else str(jwk["crv"])]


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return value


def _anything(value: object) -> None:
    del value


def _registry(algorithms: Collection[str]) -> JWSRegistry:
    registry = JWSRegistry(
        {name: HeaderParameter("not read", _anything) for name in _UNREAD}, algorithms, strict_check_header=False
    )
    # As long as a head of a request may be: joserfc's own limits are smaller than what an issuer may sign.
    registry.max_header_length = registry.max_signature_length = 65536
    return registry
