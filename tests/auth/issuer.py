"""A token issuer for tests: keys of every type, key files, and tokens right or wrong on purpose."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from extproc.auth.keys import KeySet
from extproc.auth.verification_key import VerificationKey

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)

NOW = 1_800_000_000.0
ISSUER = "gitlab-issuer"
AUDIENCE = "container_registry"
KID = "test-key"


@cache
def private_key(kind: str) -> PrivateKey:
    """One key of a kind for the whole run; `other` is a second RSA key."""
    match kind:
        case "rsa" | "other":
            return rsa.generate_private_key(65537, 2048)
        case "rsa-1024":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "k256":
            return ec.generate_private_key(ec.SECP256K1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ed448":
            return ed448.Ed448PrivateKey.generate()
        case "dsa":
            return dsa.generate_private_key(2048)
    raise AssertionError(kind)


def verification_key(kind: str) -> VerificationKey:
    return VerificationKey.of(private_key(kind).public_key())


def key_set(kind: str = "rsa", kid: str = KID) -> KeySet:
    return KeySet({kid: verification_key(kind)})


def public_pem(kind: str) -> bytes:
    return private_key(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(kind: str) -> bytes:
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(kind: str) -> bytes:
    """A certificate that expired long ago, as many an issuer's has."""
    key = private_key(kind)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)])
    start = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def jwk(kind: str, **members: object) -> dict[str, object]:
    """The public key as a JWK, with further members."""
    return {**_jwk(private_key(kind).public_key()), **members}


def private_jwk(kind: str) -> dict[str, object]:
    return _jwk(private_key(kind))


def _jwk(key: object) -> dict[str, object]:
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        text = RSAAlgorithm.to_jwk(key)
    elif isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        text = ECAlgorithm.to_jwk(key)
    else:
        assert isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | ed25519.Ed25519PrivateKey)
        text = OKPAlgorithm.to_jwk(key)
    members = dict(json.loads(text))
    members.pop("key_ops", None)
    return members


def written(path: Path, content: bytes | dict[str, object]) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def claims(**changes: object) -> dict[str, object]:
    """Claims as GitLab writes them; a change to None writes null, to `...` leaves the claim out."""
    whole = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "reader",
        "iat": NOW - 5,
        "nbf": NOW - 5,
        "exp": NOW + 300,
        "jti": "1",
        "access": [{"type": "repository", "name": "a/b", "actions": ["pull"]}],
        "auth_type": "gitlab_or_ldap",
        "user": "a.nested.token",
        **changes,
    }
    return {claim: value for claim, value in whole.items() if value is not ...}


def token(
    payload: Mapping[str, object] | bytes | None = None,
    *,
    kind: str = "rsa",
    algorithm: str = "RS256",
    header: Mapping[str, object] | None = None,
    **members: object,
) -> str:
    """A signed token with these header members; one that is `...` is left out."""
    whole = {"typ": "JWT", "alg": algorithm, "kid": KID, **(header or {}), **members}
    first = json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()
    body = payload if isinstance(payload, bytes) else json.dumps(claims() if payload is None else payload).encode()
    signed = f"{segment(first)}.{segment(body)}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), private_key(kind))
    return f"{signed}.{segment(signature)}"


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
