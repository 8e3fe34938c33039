"""Authorization headers to grants: the way in for every attack on a token."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWS

from extproc.auth.grant import Access, Grant, Rejection
from extproc.auth.keys import KeySet
from extproc.auth.token import TokenVerifier
from tests.auth.issuer import (
    AUDIENCE,
    ISSUER,
    KID,
    NOW,
    certificate,
    claims,
    jwk,
    key_set,
    public_pem,
    segment,
    token,
    verification_key,
    written,
)

GRANT = Grant(frozenset({Access("repository", "a/b", "pull")}), NOW + 300, "reader")


def verifier(keys: KeySet | None = None, *, cache_size: int = 10) -> TokenVerifier:
    return TokenVerifier(keys or key_set(), issuer=ISSUER, audience=AUDIENCE, cache_size=cache_size)


def verdict(text: str, keys: KeySet | None = None, now: float = NOW) -> Grant | Rejection:
    return verifier(keys).verify([f"Bearer {text}"], now)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        *(("rsa", algorithm) for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed25519", "EdDSA"),
    ],
)
def test_every_algorithm(kind: str, algorithm: str) -> None:
    keys = key_set(kind)
    assert verdict(token(kind=kind, algorithm=algorithm), keys) == GRANT
    altered = token(claims(sub="other"), kind=kind, algorithm=algorithm).rpartition(".")[0]
    signature = token(kind=kind, algorithm=algorithm).rpartition(".")[2]
    assert verdict(f"{altered}.{signature}", keys) is Rejection.INVALID


@pytest.mark.parametrize("form", [0, 1], ids=["libtrust", "RFC 7638"])
def test_kid_forms(tmp_path: Path, form: int) -> None:
    keys = KeySet.load([written(tmp_path / "k", certificate("rsa"))])
    assert verdict(token(kid=verification_key("rsa").ids()[form]), keys) == GRANT


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param([], id="no header"),
        pytest.param([""], id="empty"),
        pytest.param(["Bearer"], id="no token"),
        pytest.param(["Bearer "], id="empty token"),
        pytest.param(["Basic cmVhZGVyOnJlYWRlcg=="], id="Basic"),
        pytest.param([f"Bearer\t{token()}"], id="tab, which distribution does not split at"),
        pytest.param([f" Bearer {token()}"], id="leading space"),
        pytest.param([f"BearerX {token()}"], id="longer scheme"),
        pytest.param([token()], id="no scheme"),
    ],
)
def test_missing(authorization: list[str]) -> None:
    assert verifier().verify(authorization, NOW) is Rejection.MISSING


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_in_any_case(scheme: str) -> None:
    assert verifier().verify([f"{scheme} {token()}"], NOW) == GRANT


def test_threat_two_headers_are_invalid() -> None:
    good = f"Bearer {token()}"
    for pair in ([good, good], [good, "Basic eDp5"], ["", good]):
        assert verifier().verify(pair, NOW) is Rejection.INVALID


HEADER, PAYLOAD, SIGNATURE = token().split(".")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x", id="no dots"),
        pytest.param(f"{HEADER}.{PAYLOAD}", id="two parts"),
        pytest.param(f"{HEADER}.{PAYLOAD}.{SIGNATURE}.x", id="four parts"),
        pytest.param(f"{HEADER}.{PAYLOAD}.", id="empty signature"),
        pytest.param(f".{PAYLOAD}.{SIGNATURE}", id="empty header"),
        pytest.param(f"{HEADER}..{SIGNATURE}", id="empty payload"),
        pytest.param("..", id="empty parts"),
        pytest.param(f" {token()}", id="leading space"),
        pytest.param(f"{token()} ", id="trailing space"),
        pytest.param(f"{token()}, Bearer {token()}", id="joined headers"),
        pytest.param(f"{HEADER}.{PAYLOAD}!.{SIGNATURE}", id="not base64url"),
        pytest.param(f"{HEADER}.{PAYLOAD}.{SIGNATURE}é", id="not ASCII"),
        pytest.param(f"{segment(b'[]')}.{PAYLOAD}.{SIGNATURE}", id="header is a list"),
        pytest.param(f"{segment(b'{')}.{PAYLOAD}.{SIGNATURE}", id="header is not JSON"),
        pytest.param(f"{segment(bytes([255]))}.{PAYLOAD}.{SIGNATURE}", id="header is not UTF-8"),
        pytest.param(f"{segment(b'[' * 9000)}.{PAYLOAD}.{SIGNATURE}", id="deep header"),
        pytest.param(token(b"[]"), id="signed list"),
        pytest.param(token(b"\xff"), id="signed bytes"),
        pytest.param(token(b"[" * 9000), id="signed deep payload"),
        pytest.param(token(b"[]", kid="unknown"), id="broken payload of an unknown key"),
        pytest.param(token(kid=5), id="kid is a number"),
        pytest.param(token(kid=None), id="kid is null"),
        pytest.param(token(kid=["x"]), id="kid is a list"),
        pytest.param(token(alg=...), id="no alg"),
        pytest.param(token(alg=["RS256"]), id="alg is a list"),
        pytest.param(token(alg="rs256"), id="alg in lower case"),
        pytest.param(token(alg="ES256K"), id="alg of no key"),
        pytest.param(token(b64=False), id="unencoded payload"),
        pytest.param(token(b64=None), id="b64 is null"),
        pytest.param(token(b64=True), id="b64 without crit"),
        pytest.param(f"{token()}==", id="padded signature"),
    ],
)
def test_broken_tokens_are_invalid(text: str) -> None:
    assert verdict(text) is Rejection.INVALID


def test_longest_token() -> None:
    def padded(size: int) -> str:
        return token(claims(padding="x" * size))

    # Three bytes are four characters, and one more or two are two or three: some size gives each length but few.
    lengths = {len(padded(size)): size for size in range(11_000, 12_000)}
    assert verdict(padded(lengths[16 * 1024])) == GRANT
    assert verdict(padded(min(size for length, size in lengths.items() if length > 16 * 1024))) is Rejection.INVALID


def unsigned(**header: object) -> str:
    return f"{segment(json.dumps({'typ': 'JWT', 'kid': KID, **header}).encode())}.{PAYLOAD}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("kid", [KID, "unknown"])
@pytest.mark.parametrize("signature", ["", SIGNATURE])
def test_threat_alg_none(alg: str, kid: str, signature: str) -> None:
    assert verdict(f"{unsigned(alg=alg, kid=kid)}.{signature}") is Rejection.INVALID


@pytest.mark.parametrize("kid", [KID, "unknown"])
@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(public_pem("rsa"), id="public key"),
        pytest.param(public_pem("rsa").rstrip(), id="public key without newline"),
        pytest.param(certificate("rsa"), id="certificate"),
        pytest.param(b"", id="empty"),
    ],
)
def test_threat_hs256_with_the_public_key(secret: bytes, kid: str) -> None:
    signed = unsigned(alg="HS256", kid=kid)
    signature = segment(hmac.digest(secret, signed.encode(), sha256))
    assert verdict(f"{signed}.{signature}") is Rejection.INVALID


@pytest.mark.parametrize(
    ("kind", "algorithm", "claimed"),
    [
        pytest.param("p256", "ES256", "ES384", id="ES384 by a P-256 key"),
        pytest.param("rsa", "RS256", "ES256", id="ES256 by an RSA key"),
        pytest.param("rsa", "RS256", "EdDSA", id="EdDSA by an RSA key"),
        pytest.param("rsa", "RS256", "PS256", id="PS256 of an RS256 signature"),
        pytest.param("p256", "ES256", "RS256", id="RS256 by a P-256 key"),
        pytest.param("ed25519", "EdDSA", "ES256", id="ES256 by an Ed25519 key"),
    ],
)
def test_threat_algorithm_confusion(kind: str, algorithm: str, claimed: str) -> None:
    assert verdict(token(kind=kind, algorithm=algorithm, alg=claimed), key_set(kind)) is Rejection.INVALID


def test_threat_alg_outside_the_jwks_own(tmp_path: Path) -> None:
    keys = KeySet.load([written(tmp_path / "k", {"keys": [jwk("rsa", kid=KID, alg="RS512")]})])
    assert verdict(token(), keys) is Rejection.INVALID
    assert verdict(token(algorithm="RS512"), keys) == GRANT


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"jwk": jwk("other")}, id="jwk"),
        pytest.param({"x5c": [segment(certificate("other"))]}, id="x5c"),
        pytest.param({"jku": "http://127.0.0.1:1/keys"}, id="jku"),
        pytest.param({"x5u": "http://127.0.0.1:1/cert"}, id="x5u"),
    ],
)
def test_threat_key_from_the_token(members: dict[str, object]) -> None:
    assert verdict(token(kind="other", header=members)) is Rejection.INVALID
    assert verdict(token(kind="other", header=members, kid=...)) is Rejection.UNVERIFIABLE
    # Of no use, and no harm where our own key signed.
    assert verdict(token(header=members)) == GRANT


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param(..., id="absent"),
        pytest.param("", id="empty"),
        pytest.param("unknown", id="unknown"),
        pytest.param(KID.upper(), id="upper case"),
        pytest.param("../../../../dev/null", id="path"),
        pytest.param("/etc/ssl/certs/ca.pem", id="absolute path"),
        pytest.param("http://127.0.0.1:1/keys", id="URL"),
        pytest.param("x' OR '1'='1", id="injection"),
        pytest.param("\x00", id="NUL"),
        pytest.param("\ud800", id="no Unicode"),
        pytest.param("k" * 8_000, id="8 KB"),
    ],
)
def test_threat_kid_that_is_no_key_of_ours_is_for_the_primary_to_judge(kid: object) -> None:
    assert verdict(token(kid=kid)) is Rejection.UNVERIFIABLE
    assert verdict(token(claims(exp=0), kid=kid)) is Rejection.UNVERIFIABLE


def test_threat_kid_of_64_kilobytes() -> None:
    assert verdict(token(kid="k" * 65536)) is Rejection.INVALID


@pytest.mark.parametrize("kid", [KID, "unknown"])
@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["unknown"], [], "exp", None, {}])
def test_threat_crit(crit: object, kid: str) -> None:
    members: dict[str, object] = {"crit": crit, "exp": 1, "b64": True, "unknown": 1}
    assert verdict(token(kid=kid, header=members)) is Rejection.INVALID


def test_threat_an_expired_token_of_another_key_is_invalid() -> None:
    assert verdict(token(claims(exp=NOW - 1000))) is Rejection.EXPIRED
    assert verdict(token(claims(exp=NOW - 1000), kind="other")) is Rejection.INVALID


@pytest.mark.parametrize(
    ("seconds", "granted"), [pytest.param(359.9, True, id="within"), pytest.param(360, False, id="at the edge")]
)
def test_threat_leeway_of_sixty_seconds_after_exp(seconds: float, granted: bool) -> None:
    judge = verifier()
    first = judge.verify([f"Bearer {token()}"], NOW)
    assert first == GRANT
    later = judge.verify([f"Bearer {token()}"], NOW + seconds)
    assert later == (GRANT if granted else Rejection.EXPIRED)


def test_a_verified_token_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = verifier()
    header = [f"Bearer {token()}"]
    first = judge.verify(header, NOW)
    monkeypatch.setattr(PyJWS, "decode_complete", None)
    assert judge.verify(header, NOW + 299) is first
    with pytest.raises(TypeError):  # Past exp the token itself is looked at again.
        judge.verify(header, NOW + 300)


def test_a_rejected_token_is_not_remembered() -> None:
    judge = verifier()
    early = [f"Bearer {token(claims(nbf=NOW + 100))}"]
    assert judge.verify(early, NOW) is Rejection.INVALID
    assert judge.verify(early, NOW + 100) == GRANT


def test_remembered_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = verifier(cache_size=1)
    headers = [[f"Bearer {token(claims(jti=jti))}"] for jti in "ab"]
    for header in headers:
        assert judge.verify(header, NOW) == GRANT
    monkeypatch.setattr(PyJWS, "decode_complete", None)
    assert judge.verify(headers[1], NOW) == GRANT
    with pytest.raises(TypeError):
        judge.verify(headers[0], NOW)


def test_replaced_keys_count_at_once_also_for_remembered_tokens() -> None:
    judge = verifier()
    old, new = [f"Bearer {token()}"], [f"Bearer {token(kind='other', kid='new')}"]
    assert judge.verify(old, NOW) == GRANT
    assert judge.verify(new, NOW) is Rejection.UNVERIFIABLE
    judge.replace_keys(key_set("other", "new"))
    assert judge.verify(old, NOW) is Rejection.UNVERIFIABLE
    assert judge.verify(new, NOW) == GRANT


def test_threat_a_grant_does_not_show_the_token() -> None:
    judge = verifier()
    text = token()
    shown = repr(judge) + repr(judge.verify([f"Bearer {text}"], NOW))
    assert not any(part in shown for part in text.split("."))


@given(st.lists(st.text(max_size=30), max_size=2))
def test_any_header_gives_a_rejection(authorization: list[str]) -> None:
    assert isinstance(verifier().verify(authorization, NOW), Rejection)


@given(st.integers(0, len(token()) - 1), st.characters(max_codepoint=255))
def test_threat_any_altered_character_is_rejected(position: int, character: str) -> None:
    good = token()
    altered = good[:position] + character + good[position + 1 :]
    assert isinstance(verdict(altered), Rejection) is (altered != good)


@given(
    st.dictionaries(
        st.sampled_from(("alg", "kid", "typ", "crit", "b64", "jwk")), st.none() | st.integers() | st.text()
    )
)
def test_any_header_member_gives_a_verdict(members: dict[str, object]) -> None:
    result = verdict(token(header=members))
    if isinstance(result, Grant):
        assert "crit" not in members
        assert (members.get("alg", "RS256"), members.get("kid", KID)) == ("RS256", KID)
