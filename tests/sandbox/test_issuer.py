"""The issuer's protocol, as GitLab's `/jwt/auth` and distribution's token specification have it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives import serialization

from extproc.sandbox.certificates import Pair, libtrust_kid, thumbprint_kid
from extproc.sandbox.issuer import PATH, SERVICE, Signer, application
from tests.sandbox.conftest import basic

Client = TestClient[Any, Any]
ADMIN = "admin"
READER = "reader"


@pytest.fixture(scope="session")
def signer(signing: Pair) -> Signer:
    return Signer.load(signing.private_key)


@pytest.fixture
async def client(signer: Signer) -> AsyncIterator[Client]:
    async with TestClient(TestServer(application(signer))) as opened:
        yield opened


def claims(signer: Signer, token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(
        token, signer.key.public_key(), algorithms=["RS256"], audience=SERVICE, issuer="gitlab-issuer"
    )
    return decoded


def entry(name: str, *actions: str, kind: str = "repository") -> dict[str, Any]:
    return {"type": kind, "name": name, "actions": list(actions)}


@pytest.mark.parametrize(
    ("user", "scopes", "access"),
    [
        pytest.param(ADMIN, [], [], id="login"),
        pytest.param(
            ADMIN, ["repository:a/b:pull,push,delete"], [entry("a/b", "pull", "push", "delete")], id="admin"
        ),
        pytest.param(ADMIN, ["registry:catalog:*"], [entry("catalog", "*", kind="registry")], id="catalog"),
        pytest.param(READER, ["repository:a:pull,push"], [entry("a", "pull")], id="reader asks for push"),
        pytest.param(READER, ["registry:catalog:*"], [], id="reader asks for the catalog"),
        pytest.param(
            READER,
            ["repository:a:pull", "repository:b:pull repository:c:push,pull"],
            [entry("a", "pull"), entry("b", "pull"), entry("c", "pull")],
            id="several scopes",
        ),
        pytest.param(
            None,
            ["repository:public/a:pull", "repository:b:pull"],
            [entry("public/a", "pull")],
            id="nobody",
        ),
        pytest.param(None, ["repository:b:pull"], [], id="nobody, not public"),
    ],
)
async def test_get(
    client: Client,
    signer: Signer,
    user: str | None,
    scopes: list[str],
    access: list[dict[str, Any]],
) -> None:
    query = [("service", SERVICE), ("client_id", "docker"), *(("scope", scope) for scope in scopes)]
    if user:
        query.append(("account", user))
    async with client.get(PATH, params=query, headers=basic(user, user) if user else {}) as response:
        assert response.status == 200
        body = await response.json()
    assert claims(signer, body["token"])["access"] == access
    assert body["access_token"] == body["token"]
    assert set(body) == {"token", "access_token", "expires_in", "issued_at"}


async def test_the_token_in_full(client: Client, signer: Signer) -> None:
    before = int(time.time())
    async with client.get(PATH, params={"service": SERVICE}, headers=basic(READER, READER)) as response:
        body = await response.json()
    header = jwt.get_unverified_header(body["token"])
    found = claims(signer, body["token"])
    assert header == {"alg": "RS256", "typ": "JWT", "kid": libtrust_kid(signer.key.public_key())}
    assert before <= found["iat"] <= time.time()
    assert found["nbf"] == found["iat"] - 5
    assert found["exp"] == found["iat"] + 300 == found["iat"] + body["expires_in"]
    assert (found["sub"], found["auth_type"]) == ("reader", "gitlab_or_ldap")
    assert len(found["jti"]) == 32
    assert body["issued_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found["iat"]))


async def test_a_token_of_nobody_has_no_subject(client: Client, signer: Signer) -> None:
    query = {"service": SERVICE, "scope": "repository:public/a:pull"}
    async with client.get(PATH, params=query) as response:
        found = claims(signer, (await response.json())["token"])
    assert "sub" not in found
    assert found["auth_type"] == "none"


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        pytest.param(
            {"service": SERVICE},
            basic("admin", "wrong"),
            401,
            "UNAUTHORIZED",
            id="wrong password",
        ),
        pytest.param(
            {"service": SERVICE, "scope": "repository:public/a:pull"},
            basic("stranger", "x"),
            401,
            "UNAUTHORIZED",
            id="unknown user, though the name is public",
        ),
        pytest.param({"service": SERVICE}, {"Authorization": "Bearer x"}, 401, "UNAUTHORIZED", id="not Basic"),
        pytest.param({"service": SERVICE}, {"Authorization": "Basic !"}, 401, "UNAUTHORIZED", id="not base64"),
        pytest.param({"service": SERVICE}, {}, 403, "DENIED", id="nobody without a scope"),
        pytest.param({"service": "other"}, {}, 404, None, id="unknown service"),
        pytest.param({}, {}, 404, None, id="no service"),
    ],
)
async def test_get_refused(
    client: Client, query: dict[str, str], headers: dict[str, str], status: int, code: str | None
) -> None:
    async with client.get(PATH, params=query, headers=headers) as response:
        assert response.status == status
        if code is not None:
            assert (await response.json())["errors"][0]["code"] == code


async def test_oauth2_password_then_refresh(client: Client, signer: Signer) -> None:
    form = {"service": SERVICE, "client_id": "docker", "scope": "repository:a:pull,push repository:b:pull"}
    password = {"grant_type": "password", "username": "reader", "password": "reader", "access_type": "offline"}
    async with client.post(PATH, data={**form, **password}) as response:
        assert response.status == 200
        first = await response.json()
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    async with client.post(PATH, data={**form, **refresh}) as response:
        assert response.status == 200
        second = await response.json()
    for body in (first, second):
        found = claims(signer, body["access_token"])
        assert found["sub"] == "reader"
        assert found["access"] == [entry("a", "pull"), entry("b", "pull")]


async def test_a_refresh_token_is_given_when_asked_and_is_no_access_token(client: Client, signer: Signer) -> None:
    query = {"service": SERVICE, "offline_token": "true", "account": "admin"}
    async with client.get(PATH, params=query, headers=basic(ADMIN, ADMIN)) as response:
        token = (await response.json())["refresh_token"]
    assert signer.refreshed_user(token) == "admin"
    with pytest.raises(jwt.InvalidAudienceError):
        claims(signer, token)
    access_token = signer.token("admin", SERVICE, [])["token"]
    assert signer.refreshed_user(access_token) is None


@pytest.mark.parametrize(
    ("form", "status"),
    [
        pytest.param({"grant_type": "password", "username": "reader", "password": "x"}, 401, id="password"),
        pytest.param({"grant_type": "refresh_token", "refresh_token": "x"}, 401, id="refresh token"),
        pytest.param({"grant_type": "authorization_code"}, 400, id="grant type"),
        pytest.param({}, 400, id="no grant type"),
        pytest.param({"service": "other", "grant_type": "password"}, 400, id="service"),
    ],
)
async def test_oauth2_refused(client: Client, form: dict[str, str], status: int) -> None:
    async with client.post(PATH, data={"service": SERVICE, **form}) as response:
        assert response.status == status


def test_the_other_form_of_key_names(signing: Pair) -> None:
    signer = Signer.load(signing.private_key, "thumbprint")
    assert signer.kid == thumbprint_kid(signer.key.public_key())


def test_a_key_that_is_not_rsa_is_refused(tmp_path: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    file = tmp_path / "key"
    file.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(TypeError, match="holds no RSA key"):
        Signer.load(file)
