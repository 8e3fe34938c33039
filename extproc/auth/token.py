"""The bearer token: from the Authorization header to a grant (distribution token spec; RFC 7515, RFC 8725).

Rules
1. No header, another scheme, or no token: MISSING. Two headers: INVALID, for two readers might choose
   differently.
2. The header of the token is judged before any key is used: the algorithm is an asymmetric one, no
   extension is critical (`crit`), and the key is found by `kid` among ours, never taken from `jwk`, `x5c`,
   `jku` or `x5u`.
3. No `kid`, or one that we do not know: UNVERIFIABLE, unless the token is broken in itself.
4. The signature is judged before the claims: an expired token of another key is INVALID, not EXPIRED.
5. Every rejection is a value; no token is kept, logged or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from extproc.auth.cache import GrantCache
from extproc.auth.claims import ClaimsInvalid, Expected, judge, parse_claims
from extproc.auth.grant import Grant, Rejection
from extproc.auth.keys import KeySet
from extproc.auth.verification_key import ALGORITHMS

_TOKEN_LIMIT: Final = 16 * 1024
"""Characters: twice what common proxies let through as one header."""
_EXTENSIONS: Final = frozenset(("crit", "b64"))
"""`b64` counts only with `crit` (RFC 7797 §6), so that alone it is an error, whatever it says."""
_JWS: Final = PyJWS()


class TokenVerifier:
    """Judges Authorization headers by one issuer's keys, and remembers the tokens that passed.

    `leeway` is the allowed clock difference in seconds, `cache_size` the number of tokens remembered.
    """

    __slots__ = ("_cache", "_expected", "_keys", "_on_unknown_kid")

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        audience: str,
        leeway: float = 60,
        cache_size: int = 10_000,
        on_unknown_kid: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_unknown_kid` hears of each token whose key is not there; anybody can send as many as they like."""
        self._keys = keys
        self._on_unknown_kid = on_unknown_kid
        self._expected = Expected(issuer, audience, leeway)
        self._cache = GrantCache(cache_size)

    def replace_keys(self, keys: KeySet) -> None:
        """Verify by these keys from now on, and forget every token that the old ones verified."""
        self._keys = keys
        self._cache.clear()

    def verify(self, authorization: Sequence[str], now: float) -> Grant | Rejection:
        """Judge a request by all its Authorization headers; `now` in seconds since the Unix epoch.

        Never raises.
        """
        if len(authorization) > 1:
            return Rejection.INVALID
        scheme, _, token = authorization[0].partition(" ") if authorization else ("", "", "")
        if scheme.lower() != "bearer" or not token:
            return Rejection.MISSING
        # Segments have no padding (RFC 7515 §2), which would spell one token in two ways.
        if len(token) > _TOKEN_LIMIT or not token.isascii() or "=" in token:
            return Rejection.INVALID
        known = self._cache.get(token, now)
        if known is not None:
            return known
        verdict = self._judge(token, now)
        if isinstance(verdict, Grant):
            self._cache.put(token, verdict, now)
        return verdict

    def _judge(self, token: str, now: float) -> Grant | Rejection:
        try:
            # Takes the token apart once; the signature is judged below, by the key's own algorithms.
            parts = _JWS.decode_complete(token, options={"verify_signature": False})
            claims = parse_claims(parts["payload"])
        except (PyJWTError, ClaimsInvalid):
            return Rejection.INVALID
        header = parts["header"]
        algorithm, kid = header.get("alg"), header.get("kid", "")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not _EXTENSIONS.isdisjoint(header):
            return Rejection.INVALID
        key = self._keys.find(kid)
        if key is None:
            self._on_unknown_kid()
            return Rejection.UNVERIFIABLE
        signed, _, _ = token.rpartition(".")
        if not key.verifies(algorithm, signed.encode("ascii"), parts["signature"]):
            return Rejection.INVALID
        return judge(claims, self._expected, now)
