"""Throw-away keys and certificates: an authority for TLS, and the issuer's signing key.

`kid` forms: libtrust's (docker's library, the only one that distribution 2 accepts) and the RFC 7638 thumbprint.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from extproc.sandbox.ports import HOST

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_LIFETIME = datetime.timedelta(days=30)
_SKEW = datetime.timedelta(minutes=5)
_BOTH_SIDES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM files of a certificate and its private key."""

    certificate: Path
    private_key: Path

    def write(self, certificate: x509.Certificate, key: PrivateKey) -> Self:
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.private_key.touch(mode=0o600)
        self.private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return self


class Authority:
    """A certificate authority that exists for one run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Throw-away sandbox CA")
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = Pair(directory / "ca.pem", directory / "ca.key").write(certificate, self._key).certificate
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def issue(self, name: str) -> Pair:
        """For servers at localhost and 127.0.0.1, and for clients, in the files `<name>.pem` and `<name>.key`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
        certificate = (
            _builder(_name(name), self._name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_BOTH_SIDES), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key").write(certificate, key)


def signing_pair(directory: Path, name: str = "signing") -> Pair:
    """An RSA key that signs tokens, with the self-signed certificate that registries trust."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = _name("Throw-away token issuer")
    certificate = (
        _builder(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(directory / f"{name}.pem", directory / f"{name}.key").write(certificate, key)


def libtrust_kid(key: rsa.RSAPublicKey) -> str:
    """SHA-256 of the SPKI's DER, its first 30 bytes in base32, in groups of four (libtrust `KeyID`)."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def thumbprint_kid(key: rsa.RSAPublicKey) -> str:
    """RFC 7638: SHA-256 of the JWK's required members in lexical order, base64url without padding."""
    numbers = key.public_numbers()
    members = {"e": _integer(numbers.e), "kty": "RSA", "n": _integer(numbers.n)}
    return _base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def _integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
