"""Tokens of an issuer whose clock is wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from extproc.sandbox.certificates import libtrust_kid
from extproc.sandbox.issuer import ISSUER, SERVICE

LIFETIME: Final = 300


def token_of(key_file: Path, name: str, ahead: float) -> str:
    """To pull `name`, as GitLab dates it (`nbf` five seconds before `iat`), by a clock `ahead` seconds of ours."""
    key = load_pem_private_key(key_file.read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    now = int(time.time() + ahead)
    claims = {
        "iss": ISSUER,
        "aud": SERVICE,
        "sub": "reader",
        "iat": now,
        "nbf": now - 5,
        "exp": now + LIFETIME,
        "jti": str(now),
        "access": [{"type": "repository", "name": name, "actions": ["pull"]}],
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": libtrust_kid(key.public_key())})
