"""Pinned algorithms and names of a key."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwt import get_algorithm_by_name
from jwt.algorithms import RSAAlgorithm

from extproc.auth.verification_key import ALGORITHMS, KeyUnusable, VerificationKey
from tests.auth.issuer import private_key, public_pem, verification_key

RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        pytest.param("rsa", RSA, id="RSA"),
        pytest.param("p256", ("ES256",), id="P-256"),
        pytest.param("p384", ("ES384",), id="P-384"),
        pytest.param("p521", ("ES512",), id="P-521"),
        pytest.param("ed25519", ("EdDSA",), id="Ed25519"),
    ],
)
def test_a_key_verifies_by_its_pinned_algorithms_only(kind: str, algorithms: tuple[str, ...]) -> None:
    key = verification_key(kind)
    assert key.algorithms == algorithms
    for algorithm in algorithms:
        signature = get_algorithm_by_name(algorithm).sign(b"message", private_key(kind))
        assert key.verifies(algorithm, b"message", signature)
        assert not key.verifies(algorithm, b"another", signature)
        assert not key.verifies(algorithm, b"message", b"")
        for other in ALGORITHMS - {algorithm}:
            assert not key.verifies(other, b"message", signature)
    for never in ("none", "HS256", "ES256K", ""):
        assert not key.verifies(never, b"message", b"")


def test_no_symmetric_algorithm_is_in_any_list() -> None:
    assert {"ES256", "ES384", "ES512", "EdDSA", *RSA} == ALGORITHMS


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        pytest.param("rsa-1024", "has 1024 bits, RSA needs at least 2048", id="short RSA"),
        pytest.param("k256", "is on the curve secp256k1", id="another curve"),
        pytest.param("ed448", "is not an RSA, EC or Ed25519 public key", id="Ed448"),
        pytest.param("dsa", "is not an RSA, EC or Ed25519 public key", id="DSA"),
    ],
)
def test_unusable(kind: str, reason: str) -> None:
    with pytest.raises(KeyUnusable, match=reason):
        VerificationKey.of(private_key(kind).public_key())


def test_a_private_key_is_not_a_verification_key() -> None:
    with pytest.raises(KeyUnusable):
        VerificationKey.of(private_key("rsa"))


def test_ids_of_rfc_7638s_key() -> None:
    """The example of RFC 7638 §3.1; libtrust's form by `openssl dgst -sha256`, `head -c 30` and `base32`."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV"
        "4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7"
        "d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44"
        "-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": "AQAB"})
    assert VerificationKey.of(key).ids() == (
        "VUZD:EDHW:YWLN:RBFQ:KOA3:UVZ2:XKG5:2V2J:WTPI:6SRD:U6PZ:VCO5",
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    )


def test_thumbprint_of_rfc_8037() -> None:
    """The example of RFC 8037 appendix A.3."""
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    ids = VerificationKey.of(Ed25519PublicKey.from_public_bytes(raw)).ids()
    assert ids[1] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: str(curve.name))
def test_thumbprints_of_many_keys_are_another_implementations(curve: ec.EllipticCurve) -> None:
    """Coordinates keep their leading zeros (RFC 7518 §6.2.1.2): some of these have one."""
    short = 0
    for value in range(1, 301):
        public = ec.derive_private_key(value, curve).public_key()
        assert VerificationKey.of(public).ids()[1] == ECKey.import_key(public).thumbprint()
        point = public.public_numbers()
        short += min(point.x, point.y).bit_length() <= curve.key_size // 8 * 8 - 8
    assert short


def test_thumbprints_of_other_kinds_are_another_implementations() -> None:
    for kind, other in (("rsa", RSAKey), ("ed25519", OKPKey)):
        assert verification_key(kind).ids()[1] == other.import_key(public_pem(kind)).thumbprint()


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521", "ed25519"])
def test_ids_differ_between_forms_and_keys(kind: str) -> None:
    ids = verification_key(kind).ids()
    assert len({*ids, *verification_key("other").ids()}) == 4
