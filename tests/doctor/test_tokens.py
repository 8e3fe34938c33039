from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from extproc.doctor.finding import State
from extproc.doctor.tokens import Issued, NoToken, Tokens
from tests.auth import issuer
from tests.doctor.replies import peer_of, settings_of
from tests.registry.server import Server, scripted


@asynccontextmanager
async def tokens_of(folder: Path, url: str, *, account: bool = True, given: str = "") -> AsyncIterator[Tokens]:
    issuer.written(folder / "key.pem", issuer.public_pem("rsa"))
    (folder / "password").write_text("secret")
    account_ = {"username": "doc", "password_file": "password"} if account else {}
    settings = settings_of(
        folder,
        auth={"mode": "token", "realm": f"{url}/jwt/auth", "keys": ["key.pem"]},
        service_account=account_,
    )
    peer = peer_of(url)
    tokens = Tokens(settings, peer, given=given, timeout=5.0)
    yield tokens
    await tokens.close()
    await peer.close()


def issued(value: str, **changes: Any) -> Issued:
    return Issued(value, **{"asked": 0.0, "answered": 0.0, "fresh": True, **changes})


async def test_from_the_issuer(tmp_path: Path) -> None:
    async with (
        Server(scripted(web.json_response({"token": "abc"}))) as server,
        tokens_of(tmp_path, server.url) as tokens,
    ):
        before = time.time()
        token = await tokens.token(("registry:catalog:*",))
        assert (token.value, token.fresh) == ("abc", True)
        assert before <= token.asked <= token.answered <= time.time()
        again = await tokens.token(("registry:catalog:*",))
        assert (again.value, again.fresh) == ("abc", False)
        assert (await tokens.source()) is (await tokens.source())
    assert server.paths == ["/jwt/auth?service=container_registry&scope=registry%3Acatalog%3A%2A"]


async def test_one_that_was_given_asks_nobody(tmp_path: Path) -> None:
    async with tokens_of(tmp_path, "http://127.0.0.1:1", account=False, given="abc") as tokens:
        token = await tokens.token()
    assert (token.value, token.fresh) == ("abc", False)


async def test_no_account(tmp_path: Path) -> None:
    async with tokens_of(tmp_path, "http://127.0.0.1:1", account=False) as tokens:
        with pytest.raises(NoToken, match="no account") as raised:
            await tokens.token()
    assert raised.value.state is State.UNKNOWN
    assert "--token-file" in raised.value.missed("primary").remedy


async def test_an_account_that_is_refused(tmp_path: Path) -> None:
    async with Server(scripted(web.Response(status=401))) as server, tokens_of(tmp_path, server.url) as tokens:
        with pytest.raises(NoToken, match="refused the service account 'doc'") as raised:
            await tokens.token()
    assert raised.value.state is State.FAULT
    assert raised.value.missed("x").state is State.UNKNOWN, "the fault is told once"


async def test_an_issuer_is_not_needed(tmp_path: Path) -> None:
    tokens = Tokens(settings_of(tmp_path), None, timeout=1.0)
    with pytest.raises(NoToken, match="passthrough"):
        await tokens.token()
    await tokens.close()


def test_what_a_token_says() -> None:
    token = issued(issuer.token())
    assert token.header["alg"] == "RS256"
    assert token.claims["iss"] == issuer.claims()["iss"]
    for other in ("", "abc", "a.b.c", "bnVsbA.bnVsbA.x", "ü.ü.ü"):
        assert (issued(other).header, issued(other).claims) == ({}, {})


@pytest.mark.parametrize("signature", ["Axyz", "Bxyz", "_xyz"])
def test_broken_is_another_signature_of_the_same_length(signature: str) -> None:
    broken = issued(f"h.c.{signature}").broken()
    assert broken != f"h.c.{signature}"
    assert broken[:4] == "h.c."
    assert broken.endswith("xyz")
    assert len(broken) == len(f"h.c.{signature}")
