from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from extproc.auth.keys import KeySet
from extproc.doctor.finding import State
from extproc.doctor.installation import Wishes
from extproc.doctor.token_keys import judged
from extproc.settings import Settings
from tests.auth import issuer
from tests.doctor.replies import found, settings_of, states
from tests.doctor.test_tokens import issued
from tests.registry.server import Server, scripted


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return token_settings(tmp_path)


def token_settings(folder: Path, **auth: Any) -> Settings:
    issuer.written(folder / "key.pem", issuer.public_pem("rsa"))
    auth = {"keys": ["key.pem"], "realm": "http://127.0.0.1:1/jwt/auth", **auth}
    names = {"issuer": issuer.ISSUER, "service": issuer.AUDIENCE}
    return settings_of(folder, auth={"mode": "token", **names, **auth})


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(issuer.token(), [("token", "ok")], id="good"),
        pytest.param("abc", [("token", "fault")], id="no JWT"),
        pytest.param(issuer.token(kid="another"), [("kid", "fault")], id="a key that is not known"),
        pytest.param(issuer.token(kid=...), [("kid", "fault")], id="no key named"),
        pytest.param(
            issuer.token(alg="HS256", kid="another"), [("alg", "fault"), ("kid", "fault")], id="a shared secret"
        ),
        pytest.param(issuer.token(issuer.claims(iss="x")), [("iss", "fault")], id="issuer"),
        pytest.param(issuer.token(issuer.claims(aud=["x", "y"])), [("aud", "fault")], id="audience"),
        pytest.param(issuer.token(issuer.claims(aud=["x", issuer.AUDIENCE])), [("token", "ok")], id="many audiences"),
        pytest.param(issuer.token(issuer.claims(exp=issuer.NOW - 100)), [("token", "fault")], id="expired"),
        pytest.param(
            issuer.token(issuer.claims(nbf=issuer.NOW + 100)), [("token", "fault")], id="of a clock that is ahead"
        ),
        pytest.param(issued(issuer.token()).broken(), [("token", "fault")], id="signature"),
    ],
)
def test_judged(settings: Settings, token: str, expected: list[tuple[str, str]]) -> None:
    findings = list(judged(issued(token), issuer.key_set(), settings, issuer.NOW))
    assert states(findings) == expected
    assert all(bool(finding.remedy) == (finding.state is not State.OK) for finding in findings)
    assert token not in " ".join(finding.text for finding in findings) or token == "abc"


def test_a_token_that_was_given_may_be_old(settings: Settings) -> None:
    old = issued(issuer.token(issuer.claims(exp=issuer.NOW - 100)), fresh=False)
    (finding,) = judged(old, issuer.key_set(), settings, issuer.NOW)
    assert (finding.state, finding.remedy) == (State.UNKNOWN, "give a newer one")


def test_without_keys_none_is_known(settings: Settings) -> None:
    assert states(list(judged(issued(issuer.token()), KeySet.none(), settings, issuer.NOW))) == [("kid", "fault")]


async def test_keys_that_cannot_be_read_and_no_account(tmp_path: Path) -> None:
    settings = token_settings(tmp_path, keys=["nowhere.pem"])
    findings = await found("token-keys", settings)
    assert states(findings) == [("keys", "fault"), ("token", "unknown")]
    assert findings[0].remedy.startswith("mount the issuer's keys there")


async def test_keys_by_url(tmp_path: Path) -> None:
    """Those that are fetched count, beside the files; an account is not needed for a token that is given."""
    keys = {"keys": [issuer.jwk("p256", kid="fetched")]}
    now = int(time.time())
    fresh = issuer.claims(iat=now, nbf=now, exp=now + 300)
    token = issuer.token(fresh, kind="p256", algorithm="ES256", kid="fetched")
    async with Server(scripted(web.json_response(keys))) as server:
        settings = token_settings(tmp_path, keys_url=f"{server.url}/keys")
        findings = await found("token-keys", settings, Wishes(token=token))
        assert states(findings) == [("token", "ok")]
        assert server.paths == ["/keys"]
    findings = await found("token-keys", settings, Wishes(token=token))
    assert states(findings) == [("keys", "fault"), ("kid", "unknown")], "the JWKS is away: what runs may know it"


async def test_not_needed(tmp_path: Path) -> None:
    for check in ("token-keys", "token-accepted", "registry-auth"):
        assert states(await found(check, settings_of(tmp_path))) == [("token", "ok")]
