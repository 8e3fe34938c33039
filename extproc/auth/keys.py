"""The issuer's public keys, from files or fetched, and found by a token's `kid`.

Rules
1. A document is a JWK set or a JWK (RFC 7517), or PEM with any number of certificates and public keys; its
   content decides, not its name.
2. A document that cannot be read or understood is an error; one bad key in it spares the others.
3. A PEM private key is an error: whoever can read it here can sign tokens.
4. A certificate stands for its key alone: as in distribution, its dates and issuer are not looked at.
5. Each key answers to all its names, for no issuer says which form it uses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from extproc.auth.verification_key import KeyUnusable, VerificationKey

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_PEM_BEGIN: Final = b"-----BEGIN "
_PEM_PRIVATE: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
_PUBLIC_LABELS: Final = ("PUBLIC KEY", "RSA PUBLIC KEY")
_JWK_TYPES: Final = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
_KID_LIMIT: Final = 512
"""Longer names are found under no key."""


class KeysInvalid(Exception):
    """The documents give no keys; the message is one sentence that names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """What may hold keys, and where it is from: a path or a URL."""

    place: str
    content: bytes

    @classmethod
    def read(cls, path: Path) -> KeyDocument:
        """Raises KeysInvalid."""
        try:
            return cls(str(path), path.read_bytes())
        except OSError as error:
            raise KeysInvalid(
                f"{path} cannot be read ({error.strerror}): mount the issuer's keys there or correct auth.keys."
            ) from error
        except ValueError as error:
            raise KeysInvalid(f"{str(path)!r} cannot be read ({error}): correct auth.keys.") from error


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys by `kid`, and one sentence for each key that was left out."""

    keys: Mapping[str, VerificationKey]
    skipped: tuple[str, ...] = ()

    @classmethod
    def load(cls, paths: Sequence[Path]) -> KeySet:
        """Read the files. Raises KeysInvalid (rules 2 and 3, or no usable key at all)."""
        return cls.of([KeyDocument.read(path) for path in paths])

    @classmethod
    def of(cls, documents: Sequence[KeyDocument]) -> KeySet:
        """The keys of all of them. Raises KeysInvalid (rules 2 and 3, or no usable key at all)."""
        keys: dict[str, VerificationKey] = {}
        chosen: list[tuple[str, VerificationKey, str]] = []
        skipped: list[str] = []
        for document in documents:
            for position, found in enumerate(_read(document), 1):
                place = f"{document.place}: key {position}"
                if isinstance(found, KeyUnusable):
                    skipped.append(f"{place} {found}")
                    continue
                key, kid = found
                keys.update(dict.fromkeys(key.ids(), key))
                if kid:
                    chosen.append((kid, key, place))
        # Names that an issuer chose come last: none may hide a name that follows from a key.
        for kid, key, place in chosen:
            if keys.setdefault(kid, key).key != key.key:
                skipped.append(f"{place} has the kid {kid!r} of another key and is found by its thumbprints only")
        if not keys:
            named = ", ".join(document.place for document in documents) or "no file"
            reasons = "; ".join(skipped) or "nothing in it is a key"
            if len(documents) == 1:
                reasons = reasons.replace(f"{documents[0].place}: ", "")
            raise KeysInvalid(
                f"{named} holds no usable key ({reasons}): give the token issuer's certificate, public key or JWKS."
            )
        return cls(keys, tuple(skipped))

    @classmethod
    def none(cls) -> KeySet:
        """Every token's signature is then the primary's to judge."""
        return cls({})

    def find(self, kid: str) -> VerificationKey | None:
        """The key that a token's header calls for."""
        return self.keys.get(kid) if len(kid) <= _KID_LIMIT else None


_Found = tuple[VerificationKey, str] | KeyUnusable
"""A key with the `kid` that its file gives it ("" for none), or why it is not one."""


def _read(document: KeyDocument) -> Iterator[_Found]:
    place, content = document.place, document.content.removeprefix(b"\xef\xbb\xbf")
    if content.lstrip().startswith(b"{"):
        return _read_jwks(place, content)
    if _PEM_BEGIN in content:
        return _read_pem(place, content)
    raise KeysInvalid(f"{place} is neither PEM nor a JWKS: give the token issuer's certificate, public key or JWKS.")


def _read_pem(place: str, content: bytes) -> Iterator[_Found]:
    # Before anything is loaded, and by the opening line alone: a damaged private key is one too.
    if _PEM_PRIVATE.search(content):
        raise KeysInvalid(
            f"{place} holds a private key, with which anyone could sign tokens: give the public key or certificate."
        )
    for part in content.split(_PEM_BEGIN)[1:]:
        block = _PEM.match(_PEM_BEGIN + part)
        yield KeyUnusable("is cut off") if block is None else _pem_key(block[1].decode("ascii"), block[0])


def _pem_key(label: str, block: bytes) -> _Found:
    try:
        if label == "CERTIFICATE":
            return VerificationKey.of(load_pem_x509_certificate(block).public_key()), ""
        if label in _PUBLIC_LABELS:
            return VerificationKey.of(load_pem_public_key(block)), ""
    except KeyUnusable as error:
        return error
    except (ValueError, UnsupportedAlgorithm):
        return KeyUnusable(f"is a {label} that cannot be parsed")
    return KeyUnusable(f"is a {label}, not a certificate or public key")


def _read_jwks(place: str, content: bytes) -> Iterator[_Found]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise KeysInvalid(f"{place} is not valid JSON: give the issuer's JWKS as it serves it.") from error
    entries = document.get("keys", [document] if "kty" in document else None)
    if not isinstance(entries, list):
        raise KeysInvalid(f'{place} is JSON without a "keys" list: give the issuer\'s JWKS as it serves it.')
    for entry in entries:
        yield _jwk_key(entry)


def _jwk_key(entry: object) -> _Found:
    try:
        return _usable(entry)
    except KeyUnusable as error:
        return error
    except (PyJWTError, ValueError, TypeError, AttributeError, OverflowError, UnsupportedAlgorithm):
        return KeyUnusable("is a JWK whose values cannot be parsed")


def _usable(jwk: object) -> tuple[VerificationKey, str]:
    """Raises KeyUnusable, or what the JWK's values make the parsers raise."""
    if not isinstance(jwk, dict):
        raise KeyUnusable("is not a JSON object")
    kty, use, operations, alg = (jwk.get(member) for member in ("kty", "use", "key_ops", "alg"))
    if not isinstance(kty, str) or kty not in _JWK_TYPES:
        raise KeyUnusable(f"has the type {str(kty)[:40]!r}, not RSA, EC or OKP")
    if "d" in jwk:
        raise KeyUnusable("is a private key")
    if use not in (None, "sig"):
        raise KeyUnusable("is not for signatures (use)")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise KeyUnusable("is not for verification (key_ops)")
    key = VerificationKey.of(_JWK_TYPES[kty](dict(jwk)))
    if alg is not None:
        if alg not in key.algorithms:
            raise KeyUnusable(f"is for the algorithm {str(alg)[:40]!r}, not {' or '.join(key.algorithms)}")
        # RFC 7517 §4.4: the one algorithm intended for this key.
        key = VerificationKey(key.key, (str(alg),))
    kid = jwk.get("kid")
    return key, kid if isinstance(kid, str) else ""
