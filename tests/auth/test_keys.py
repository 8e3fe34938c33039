"""Key files of every form, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.auth.keys import KeySet, KeysInvalid
from tests.auth.issuer import (
    certificate,
    jwk,
    private_jwk,
    private_pem,
    public_pem,
    verification_key,
    written,
)

KINDS = ("rsa", "p256", "p384", "p521", "ed25519")


def found(keys: KeySet, kind: str) -> bool:
    """Whether the key is there under both names that follow from it."""
    key = verification_key(kind)
    hits = [keys.find(kid) for kid in key.ids()]
    assert hits in ([None, None], [key, key])
    return hits != [None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_public_key_pem(tmp_path: Path, kind: str) -> None:
    keys = KeySet.load([written(tmp_path / "k", public_pem(kind))])
    assert found(keys, kind)
    assert keys.skipped == ()


def test_public_key_pem_of_pkcs1(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = verification_key("rsa").key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert found(KeySet.load([written(tmp_path / "k", pem)]), "rsa")


def test_bundle_of_certificates_and_keys_with_text_between(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfsubject=issuer\n" + certificate("rsa") + b"\r\n# next\n" + certificate("p256")
    content += public_pem("ed25519")
    keys = KeySet.load([written(tmp_path / "k", content)])
    assert [found(keys, kind) for kind in ("rsa", "p256", "ed25519", "other")] == [True, True, True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_jwks_under_every_name(tmp_path: Path, kind: str) -> None:
    entry = jwk(kind, kid="chosen", use="sig", key_ops=["verify"])
    keys = KeySet.load([written(tmp_path / "k", {"keys": [entry]})])
    assert found(keys, kind)
    assert keys.find("chosen") == verification_key(kind)
    assert keys.skipped == ()


def test_single_jwk_after_white_space(tmp_path: Path) -> None:
    path = written(tmp_path / "k", jwk("rsa"))
    path.write_bytes(b"\xef\xbb\xbf \r\n" + path.read_bytes())
    assert found(KeySet.load([path]), "rsa")


def test_several_files_add_up(tmp_path: Path) -> None:
    paths = [written(tmp_path / "1", certificate("rsa")), written(tmp_path / "2", {"keys": [jwk("p256")]})]
    keys = KeySet.load(paths)
    assert found(keys, "rsa")
    assert found(keys, "p256")


def test_jwk_alg_pins_one_algorithm(tmp_path: Path) -> None:
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid="one", alg="RS384")]})])
    key = keys.find("one")
    assert key is not None
    assert key.algorithms == ("RS384",)


@pytest.mark.parametrize("kid", [pytest.param(None, id="absent"), pytest.param("", id="empty"), 5, ["x"]])
def test_jwk_without_a_name_is_found_by_its_thumbprints(tmp_path: Path, kid: object) -> None:
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid=kid)]})])
    assert found(keys, "rsa")
    assert set(keys.keys) == set(verification_key("rsa").ids())


BAD_JWKS = [
    pytest.param("text", "is not a JSON object", id="not an object"),
    pytest.param({}, "has the type 'None', not RSA, EC or OKP", id="no type"),
    pytest.param({"kty": ["RSA"]}, "has the type \"['RSA']\", not RSA, EC or OKP", id="type is a list"),
    pytest.param({"kty": "oct", "k": "c2VjcmV0"}, "has the type 'oct', not RSA, EC or OKP", id="symmetric"),
    pytest.param(private_jwk("p256"), "is a private key", id="private"),
    pytest.param(jwk("p256", use="enc"), "is not for signatures (use)", id="encryption"),
    pytest.param(jwk("p256", key_ops=["sign"]), "is not for verification (key_ops)", id="operations"),
    pytest.param(jwk("p256", key_ops="verify"), "is not for verification (key_ops)", id="operations as text"),
    pytest.param(jwk("p256", alg="HS256"), "is for the algorithm 'HS256', not ES256", id="symmetric alg"),
    pytest.param(
        jwk("rsa", alg="ES256"),
        "is for the algorithm 'ES256', not RS256 or RS384 or RS512 or PS256 or PS384 or PS512",
        id="alg of another kind",
    ),
    pytest.param(jwk("p256", alg="x" * 41), f"is for the algorithm '{'x' * 40}', not ES256", id="long alg"),
    pytest.param({"kty": "x" * 41}, f"has the type '{'x' * 40}', not RSA, EC or OKP", id="long type"),
    pytest.param(jwk("p256", alg=["ES256"]), "is for the algorithm \"['ES256']\", not ES256", id="alg as list"),
    pytest.param(jwk("rsa-1024"), "has 1024 bits, RSA needs at least 2048", id="short RSA"),
    pytest.param(jwk("k256"), "is on the curve secp256k1, not P-256, P-384 or P-521", id="curve"),
    pytest.param(jwk("ed448"), "is not an RSA, EC or Ed25519 public key", id="Ed448"),
    pytest.param({"kty": "RSA", "n": 5, "e": "AQAB"}, "is a JWK whose values cannot be parsed", id="number"),
    pytest.param({"kty": "RSA", "n": "é", "e": "AQAB"}, "is a JWK whose values cannot be parsed", id="not base64"),
    pytest.param({"kty": "RSA"}, "is a JWK whose values cannot be parsed", id="no modulus"),
    pytest.param(jwk("p256", x="AAAA"), "is a JWK whose values cannot be parsed", id="short coordinate"),
    pytest.param(jwk("p256", x="A" * 43), "is a JWK whose values cannot be parsed", id="not on the curve"),
    pytest.param(jwk("ed25519", x="AAAA"), "is a JWK whose values cannot be parsed", id="short Ed25519"),
]


@pytest.mark.parametrize(("entry", "reason"), BAD_JWKS)
def test_threat_one_bad_jwk_spares_the_others(tmp_path: Path, entry: object, reason: str) -> None:
    path = written(tmp_path / "k", {"keys": [jwk("rsa"), entry, jwk("other")]})
    keys = KeySet.load([path])
    assert found(keys, "rsa")
    assert found(keys, "other")
    assert len(keys.keys) == 4
    assert keys.skipped == (f"{path}: key 2 {reason}",)


BROKEN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
BAD_PEM = [
    pytest.param(BROKEN_CERTIFICATE, "is a CERTIFICATE that cannot be parsed", id="broken certificate"),
    pytest.param(
        BROKEN_CERTIFICATE.replace(b"CERTIFICATE", b"PUBLIC KEY"),
        "is a PUBLIC KEY that cannot be parsed",
        id="broken key",
    ),
    pytest.param(
        BROKEN_CERTIFICATE.replace(b"CERTIFICATE", b"X509 CRL"),
        "is a X509 CRL, not a certificate or public key",
        id="another thing",
    ),
    pytest.param(public_pem("rsa-1024"), "has 1024 bits, RSA needs at least 2048", id="short RSA"),
    pytest.param(public_pem("dsa"), "is not an RSA, EC or Ed25519 public key", id="DSA"),
    pytest.param(certificate("p256")[:200] + b"\n", "is cut off", id="cut off"),
]


@pytest.mark.parametrize(("block", "reason"), BAD_PEM)
def test_threat_one_bad_pem_block_spares_the_others(tmp_path: Path, block: bytes, reason: str) -> None:
    path = written(tmp_path / "k", certificate("rsa") + block + public_pem("other"))
    keys = KeySet.load([path])
    assert found(keys, "rsa")
    assert found(keys, "other")
    assert len(keys.keys) == 4
    assert keys.skipped == (f"{path}: key 2 {reason}",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "is neither PEM nor a JWKS", id="empty"),
        pytest.param(b"ssh-rsa AAAA", "is neither PEM nor a JWKS", id="another format"),
        pytest.param(b"[]", "is neither PEM nor a JWKS", id="JSON list"),
        pytest.param(b"\xff\xfe\x00", "is neither PEM nor a JWKS", id="binary"),
        pytest.param(b"{", "is not valid JSON", id="broken JSON"),
        pytest.param(b'{"keys":' + b"[" * 100_000, "is not valid JSON", id="deep JSON"),
        pytest.param(b'{"keys":"\xff"}', "is not valid JSON", id="not UTF-8"),
        pytest.param(b"{}", 'is JSON without a "keys" list', id="empty object"),
        pytest.param(b'{"keys":{}}', 'is JSON without a "keys" list', id="keys is an object"),
        pytest.param(b'{"keys":[]}', "holds no usable key (nothing in it is a key)", id="empty set"),
        pytest.param(b'{"keys":[5]}', "holds no usable key (key 1 is not a JSON object): ", id="no usable entry"),
        pytest.param(BROKEN_CERTIFICATE, "key 1 is a CERTIFICATE that cannot be parsed): ", id="broken PEM"),
    ],
)
def test_invalid_file_is_named_with_a_remedy(tmp_path: Path, content: bytes, reason: str) -> None:
    path = written(tmp_path / "keys.file", content)
    with pytest.raises(KeysInvalid) as raised:
        KeySet.load([path])
    message = str(raised.value)
    assert message.startswith(f"{path} ")
    assert message.count(str(path)) == 1
    assert reason in message
    assert ": give the " in message
    assert message.endswith(".")


@pytest.mark.parametrize("broken", [b"", b"{", b"-----BEGIN PRIVATE KEY-----"])
def test_an_invalid_file_is_not_outweighed_by_a_good_one(tmp_path: Path, broken: bytes) -> None:
    paths = [written(tmp_path / "good", public_pem("rsa")), written(tmp_path / "bad", broken)]
    with pytest.raises(KeysInvalid, match="bad "):
        KeySet.load(paths)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(KeysInvalid, match=r"absent cannot be read \(No such file or directory\): mount"):
        KeySet.load([tmp_path / "absent"])


def test_a_set_without_keys_finds_none() -> None:
    assert KeySet.none().find("x") is None


def test_several_files_without_a_key_are_all_named(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", b'{"keys":[5]}'), written(tmp_path / "b", b'{"keys":[6]}')
    with pytest.raises(KeysInvalid) as raised:
        KeySet.load([first, second])
    reasons = f"{first}: key 1 is not a JSON object; {second}: key 1 is not a JSON object"
    assert str(raised.value).startswith(f"{first}, {second} holds no usable key ({reasons}): ")


def test_no_file() -> None:
    with pytest.raises(KeysInvalid, match=r"^no file holds no usable key"):
        KeySet.load([])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(private_pem("rsa"), id="PKCS 8"),
        pytest.param(public_pem("rsa") + private_pem("p256"), id="after a public key"),
        pytest.param(b"-----BEGIN EC PRIVATE KEY-----\nbroken", id="broken"),
        pytest.param(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END", id="encrypted"),
    ],
)
def test_threat_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeysInvalid, match="holds a private key, with which anyone could sign tokens"):
        KeySet.load([written(tmp_path / "k", content)])


def test_a_kid_used_twice_stays_with_the_first_key(tmp_path: Path) -> None:
    path = written(tmp_path / "k", {"keys": [jwk("rsa", kid="x"), jwk("other", kid="x")]})
    keys = KeySet.load([path])
    assert keys.find("x") == verification_key("rsa")
    assert found(keys, "other")
    assert keys.skipped == (f"{path}: key 2 has the kid 'x' of another key and is found by its thumbprints only",)


def test_threat_a_chosen_kid_cannot_hide_a_thumbprint(tmp_path: Path) -> None:
    thumbprint = verification_key("other").ids()[1]
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid=thumbprint), jwk("other")]})])
    assert keys.find(thumbprint) == verification_key("other")
    assert len(keys.skipped) == 1


def test_the_same_key_twice_is_no_conflict(tmp_path: Path) -> None:
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid="x"), jwk("rsa", kid="x")]})])
    assert keys.skipped == ()


def test_threat_kid_of_excessive_length_is_not_found(tmp_path: Path) -> None:
    kids = ("k" * 512, "k" * 513)
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid=kids[0]), jwk("other", kid=kids[1])]})])
    assert keys.find(kids[0]) == verification_key("rsa")
    assert keys.find(kids[1]) is None
    assert keys.find("k" * 65536) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("RSA", "EC", "OKP")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("kty", "n", "e", "x", "y", "crv", "alg", "use", "kid", "keys")), inner)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3), st.binary(max_size=60))
def test_any_file_gives_keys_or_keys_invalid(
    tmp_path_factory: pytest.TempPathFactory, entries: list[object], tail: bytes
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    good = written(folder / "jwks", {"keys": [*entries, jwk("rsa")]})
    assert found(KeySet.load([good]), "rsa")
    with pytest.raises(KeysInvalid):
        KeySet.load([written(folder / "pem", b"-----BEGIN CERTIFICATE-----" + tail)])


def test_what_cannot_be_a_path_is_an_error_of_ours() -> None:
    with pytest.raises(KeysInvalid, match=r"^'.*x00.*' cannot be read .*null"):
        KeySet.load([Path("a\0b")])
