"""Signing keys that are the same in each run, so that a kept input means the same in each. They protect nothing."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

from extproc.auth.keys import KeySet
from extproc.auth.verification_key import VerificationKey

_P: Final = int(
    "e67996d2e11271eb4923675e861298ee1ad54db552677dd5ba764c1c3e3717cb6acf327e21d6a6c60ff84272c097ad95e3f6"
    "f92dbe5400a0ce16852e6e883d70ff6a93f4daedbac999b50f37d85dfdde26da69a810949fc4a0721989e8b5232331993dd2"
    "b6a772f390e0ba1e2eedb34f6e7f6ae9aba6956f49a22e305719bcfb",
    16,
)
_Q: Final = int(
    "b84cce0c9b4cdfa47fef3a8e16e7ee08cb75285a7300287ffe141c34d736f585d168c409e50b3877312c7ad1f913ff9c1465"
    "30b93fa1e052ebbd25d0df8ae2ccdbcfcf6bfd9d055d2701d2f2ce133c2d4ed293091f8a9d4bd1f2bd84e3ec579733c5817a"
    "ce51e789c52ba84020b51391a26a921c45bb92d8e06bb968cab995f1",
    16,
)
_E: Final = 65537

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
JoseKey = RSAKey | ECKey | OKPKey

ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "p256": ("ES256",),
    "ed25519": ("EdDSA",),
}
"""The key's name, which is its `kid` too, and what it may verify (RFC 7518 §3.1, RFC 8037 §3.1)."""


@cache
def private_key(kind: str) -> PrivateKey:
    """`stranger` is an issuer's that we do not know."""
    match kind:
        case "rsa":
            return _rsa()
        case "p256":
            return ec.derive_private_key(int.from_bytes(b"p256 of the fuzz targets"), ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.from_private_bytes(b"ed25519 of the fuzz targets".ljust(32))
        case "stranger":
            return ed25519.Ed25519PrivateKey.from_private_bytes(b"a stranger".ljust(32))
    raise AssertionError(kind)


def _rsa() -> rsa.RSAPrivateKey:
    d = rsa.rsa_recover_private_exponent(_E, _P, _Q)
    return rsa.RSAPrivateNumbers(
        _P,
        _Q,
        d,
        rsa.rsa_crt_dmp1(d, _P),
        rsa.rsa_crt_dmq1(d, _Q),
        rsa.rsa_crt_iqmp(_P, _Q),
        rsa.RSAPublicNumbers(_E, _P * _Q),
    ).private_key()


def public_pem(kind: str) -> bytes:
    return private_key(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def key_set() -> KeySet:
    return KeySet({kind: VerificationKey.of(private_key(kind).public_key()) for kind in ALGORITHMS})


@cache
def jose_key(kind: str) -> JoseKey:
    """The public key for the other library."""
    classes: dict[str, type[JoseKey]] = {"rsa": RSAKey, "p256": ECKey, "ed25519": OKPKey}
    return classes[kind].import_key(public_pem(kind))


def sign(kind: str, algorithm: object, signed: bytes) -> bytes:
    """By this key, with the header's algorithm where the key has it; `hmac` and `none` are the known attacks."""
    if kind == "none":
        return b""
    if kind == "hmac":
        return hmac.digest(public_pem("rsa"), signed, "sha256")
    key = private_key(kind)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _deterministic(key)(signed)
    names = ALGORITHMS.get(kind, ("EdDSA",))
    # Not the PSS ones: they salt, and an input would be another each time.
    chosen = isinstance(algorithm, str) and algorithm in names and not algorithm.startswith("PS")
    name = str(algorithm) if chosen else names[0]
    return jwt.get_algorithm_by_name(name).sign(signed, key)


def _deterministic(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    def signed(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(32) + s.to_bytes(32)

    return signed
