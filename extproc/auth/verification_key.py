"""One public key: the algorithms it may verify, and the names under which tokens call for it.

Rules
1. Each key type has its list of algorithms (RFC 8725 §3.1); neither `none` nor an HMAC is in any.
2. RSA has at least 2048 bits (RFC 7518 §3.3), EC is P-256, P-384 or P-521, EdDSA is Ed25519.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import Algorithm, get_default_algorithms

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS: Final = 2048
_CURVES: Final = {
    "secp256r1": ("P-256", "ES256", 32),
    "secp384r1": ("P-384", "ES384", 48),
    "secp521r1": ("P-521", "ES512", 66),
}
"""Curve → its name in a JWK (RFC 7518 §6.2.1.1), its algorithm, bytes of a coordinate."""

ALGORITHMS: Final = frozenset((*_RSA, "ES256", "ES384", "ES512", "EdDSA"))
"""Every algorithm that some key may use."""
_VERIFIERS: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS
}


class KeyUnusable(ValueError):
    """The key cannot verify tokens; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that verifies signatures by the algorithms pinned to it."""

    key: PublicKey
    algorithms: tuple[str, ...]

    @classmethod
    def of(cls, key: object) -> VerificationKey:
        """Pin the algorithms of a cryptography public key. Raises KeyUnusable."""
        if isinstance(key, RSAPublicKey):
            if key.key_size < _RSA_BITS:
                raise KeyUnusable(f"has {key.key_size} bits, RSA needs at least {_RSA_BITS}")
            return cls(key, _RSA)
        if isinstance(key, EllipticCurvePublicKey):
            if key.curve.name not in _CURVES:
                raise KeyUnusable(f"is on the curve {key.curve.name}, not P-256, P-384 or P-521")
            return cls(key, (_CURVES[key.curve.name][1],))
        if isinstance(key, Ed25519PublicKey):
            return cls(key, ("EdDSA",))
        raise KeyUnusable("is not an RSA, EC or Ed25519 public key")

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's over the message, by an algorithm pinned to it."""
        return algorithm in self.algorithms and bool(_VERIFIERS[algorithm].verify(message, self.key, signature))

    def ids(self) -> tuple[str, str]:
        """The `kid` forms that follow from the key alone: libtrust's and the RFC 7638 thumbprint."""
        return _libtrust_id(self.key), _thumbprint(self.key)


def _libtrust_id(key: PublicKey) -> str:
    """distribution 2's: 30 bytes of SHA-256 over the SubjectPublicKeyInfo, base32, 12 groups of 4."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(sha256(spki).digest()[:30]).decode("ascii")
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _thumbprint(key: PublicKey) -> str:
    """distribution 3's: SHA-256 over the JWK's required members in lexical order (RFC 7638 §3)."""
    members: dict[str, str]
    if isinstance(key, RSAPublicKey):
        rsa = key.public_numbers()
        members = {"e": _integer(rsa.e), "kty": "RSA", "n": _integer(rsa.n)}
    elif isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        curve, _, size = _CURVES[key.curve.name]
        members = {"crv": curve, "kty": "EC", "x": _integer(point.x, size), "y": _integer(point.y, size)}
    else:
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    return _base64url(sha256(json.dumps(members, separators=(",", ":")).encode("ascii")).digest())


def _integer(value: int, size: int = 0) -> str:
    return _base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
