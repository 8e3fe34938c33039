"""Tokens: where from, for what, how often, and never elsewhere."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from extproc.registry.account import Account
from extproc.registry.challenge import Challenge
from extproc.registry.error import Misconfigured, RegistryError, Unreachable
from tests.registry.server import Server, open_tokens, scripted, unreachable
from tests.support.clock import Clock

BEARER = Challenge("bearer", {"realm": "https://evil.example.com/", "service": "evil", "scope": "repository:a:push"})
BASIC = Challenge("basic", {"realm": "registry"})
PULL = ("repository:group/app:pull",)
GEO = "Basic " + base64.b64encode(b"geo:secret").decode()


@pytest.fixture
def account(tmp_path: Path) -> Account:
    (tmp_path / "password").write_text("secret\n")
    return Account("geo", tmp_path / "password")


def numbered(**fields: Any) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """A new token for each request: t1, t2 …"""
    count = 0

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal count
        count += 1
        return web.json_response({"token": f"t{count}", **fields})

    return answer


async def test_the_configured_endpoint_is_asked_for_the_questions_scope_whatever_the_challenge_says(
    account: Account,
) -> None:
    async with Server(numbered()) as issuer, open_tokens(f"{issuer.url}/jwt/auth", account=account) as tokens:
        found = await tokens.authorization(BEARER, ("repository:a/b:pull", "repository:a/b/*:pull"))
        assert (found.value, found.fresh) == ("Bearer t1", True)
        assert issuer.paths == [
            "/jwt/auth?service=container_registry&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Aa%2Fb%2F%2A%3Apull"
        ]
        assert issuer.authorizations == [GEO]
        assert issuer.requests[0].headers["User-Agent"].startswith("geo-extproc/")


async def test_without_an_account_it_asks_as_nobody() -> None:
    async with Server(numbered()) as issuer, open_tokens(issuer.url) as tokens:
        await tokens.authorization(BEARER, PULL)
        assert issuer.authorizations == [""]


@pytest.mark.parametrize(
    ("fields", "used", "renewed"),
    [
        pytest.param({"expires_in": 300}, 289, 291, id="ten seconds before its end"),
        pytest.param({"expires_in": 10}, 8.9, 9.1, id="a tenth of a short life"),
        pytest.param({}, 53.9, 54.1, id="sixty seconds when it does not tell"),
        pytest.param({"expires_in": "300"}, 53.9, 54.1, id="no number"),
        pytest.param({"expires_in": True}, 53.9, 54.1, id="no number either"),
        pytest.param({"expires_in": -1}, 53.9, 54.1, id="no life"),
        pytest.param({"expires_in": 1e999}, 53.9, 54.1, id="an endless life"),
    ],
)
async def test_a_token_is_used_until_shortly_before_its_end(
    fields: dict[str, Any], used: float, renewed: float
) -> None:
    clock = Clock()
    start = clock()
    async with Server(numbered(**fields)) as issuer, open_tokens(issuer.url, clock=clock) as tokens:
        await tokens.authorization(BEARER, PULL)
        clock.now = start + used
        found = await tokens.authorization(BEARER, PULL)
        assert (found.value, found.fresh) == ("Bearer t1", False)
        clock.now = start + renewed
        found = await tokens.authorization(BEARER, PULL)
        assert (found.value, found.fresh) == ("Bearer t2", True)


async def test_a_token_with_no_life_left_serves_once() -> None:
    async with Server(numbered(expires_in=0)) as issuer, open_tokens(issuer.url) as tokens:
        assert [(await tokens.authorization(BEARER, PULL)).value for _ in range(2)] == ["Bearer t1", "Bearer t2"]


async def test_access_token_is_the_other_name() -> None:
    async with (
        Server(scripted(web.json_response({"access_token": "other"}))) as issuer,
        open_tokens(issuer.url) as tokens,
    ):
        assert (await tokens.authorization(BEARER, PULL)).value == "Bearer other"


async def test_each_scope_has_its_own_token_and_a_refused_one_is_not_used_again() -> None:
    async with Server(numbered()) as issuer, open_tokens(issuer.url) as tokens:
        first = await tokens.authorization(BEARER, PULL)
        assert (await tokens.authorization(BEARER, ("repository:b:pull",))).value == "Bearer t2"
        again = await tokens.authorization(BEARER, PULL, refused=first.value)
        assert (again.value, again.fresh) == ("Bearer t3", True)
        late = await tokens.authorization(BEARER, PULL, refused=first.value)
        assert (late.value, late.fresh) == ("Bearer t3", False), "another had it replaced meanwhile"


async def test_all_who_ask_at_once_share_one_request_also_when_the_first_gives_up() -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.Response:
        reached.set()
        await go.wait()
        return web.json_response({"token": "t"})

    async with Server(slow) as issuer, open_tokens(issuer.url) as tokens:
        asking = [asyncio.create_task(tokens.authorization(BEARER, PULL)) for _ in range(5)]
        await reached.wait()
        asking[0].cancel()
        go.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert {answer.value for answer in answers[1:] if not isinstance(answer, BaseException)} == {"Bearer t"}
        assert len(issuer.requests) == 1


async def test_closing_ends_a_request_that_is_under_way() -> None:
    reached = asyncio.Event()

    async def never(request: web.BaseRequest) -> web.Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(never) as issuer, open_tokens(issuer.url) as tokens:
        asking = asyncio.create_task(tokens.authorization(BEARER, PULL))
        await reached.wait()
        await tokens.close()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_tokens_are_bounded() -> None:
    async with (
        Server(numbered(expires_in=10_000)) as issuer,
        open_tokens(issuer.url) as tokens,
    ):
        for number in range(2001):
            await tokens.authorization(BEARER, (f"repository:n{number}:pull",))
        assert not (await tokens.authorization(BEARER, ("repository:n2000:pull",))).fresh
        assert (await tokens.authorization(BEARER, ("repository:n0:pull",))).fresh, "the oldest went"


async def test_a_refused_password_rests_until_it_changes_or_a_minute_is_over(
    account: Account, tmp_path: Path
) -> None:
    clock = Clock()
    start = clock()
    refusing = scripted(web.Response(status=401))
    async with Server(refusing) as issuer, open_tokens(issuer.url, account=account, clock=clock) as tokens:
        for _ in range(3):
            with pytest.raises(Misconfigured, match="refused the service account 'geo'") as caught:
                await tokens.authorization(BEARER, PULL)
            assert caught.value.status == 401
            assert "secret" not in str(caught.value)
        assert len(issuer.requests) == 1
        clock.now = start + 61
        with pytest.raises(RegistryError):
            await tokens.authorization(BEARER, PULL)
        assert len(issuer.requests) == 2
        (tmp_path / "password").write_text("changed!")
        with pytest.raises(RegistryError):
            await tokens.authorization(BEARER, PULL)
        assert len(issuer.requests) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(web.Response(status=403), "answered 403 for repository:group/app:pull", id="forbidden"),
        pytest.param(web.Response(status=500), "answered 500", id="its own error"),
        pytest.param(web.Response(text="<html>"), "did not answer JSON", id="no JSON"),
        pytest.param(web.Response(text="[" * 50_000), "did not answer JSON", id="deep JSON"),
        pytest.param(web.json_response([]), "without a token", id="no object"),
        pytest.param(web.json_response({"token": ""}), "without a token", id="an empty token"),
        pytest.param(web.json_response({"token": 7}), "without a token", id="a number"),
        pytest.param(web.json_response({"token": "a b"}), "without a token", id="a space in it"),
        pytest.param(web.json_response({"token": "a\r\nX: y"}), "without a token", id="a line end in it"),
        pytest.param(web.Response(body=b"x" * 70_000), "more than 65536 bytes", id="too much"),
    ],
)
async def test_an_answer_without_a_usable_token_is_an_error(answer: web.Response, words: str) -> None:
    async with Server(scripted(answer)) as issuer, open_tokens(issuer.url) as tokens:
        with pytest.raises(RegistryError, match=words):
            await tokens.authorization(BEARER, PULL)


async def test_no_redirect_is_followed(account: Account) -> None:
    async with Server(unreachable) as elsewhere:
        moved = web.Response(status=302, headers={"Location": f"{elsewhere.url}/steal"})
        async with Server(scripted(moved)) as issuer, open_tokens(issuer.url, account=account) as tokens:
            with pytest.raises(RegistryError, match="answered 302"):
                await tokens.authorization(BEARER, PULL)
        assert elsewhere.requests == []


async def test_an_issuer_that_is_away_or_slow_is_an_error() -> None:
    async def never(request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(never) as issuer:
        url = issuer.url
        async with open_tokens(url, timeout=0.05) as tokens:
            with pytest.raises(Unreachable, match="did not answer: it took too long"):
                await tokens.authorization(BEARER, PULL)
    async with open_tokens(url) as tokens:
        with pytest.raises(Unreachable, match=r"did not answer: 127\.0\.0\.1:[0-9]+: Connection refused"):
            await tokens.authorization(BEARER, PULL)


async def test_basic_goes_to_a_registry_only_where_that_is_configured(account: Account) -> None:
    async with open_tokens(account=account, basic=True) as tokens:
        found = await tokens.authorization(BASIC, PULL)
        assert (found.value, found.fresh) == (GEO, True)
        with pytest.raises(Misconfigured, match=r"set auth\.realm"):
            await tokens.authorization(BEARER, PULL)
    async with open_tokens(basic=True) as tokens:
        with pytest.raises(Misconfigured, match=r"set service_account\.username"):
            await tokens.authorization(BASIC, PULL)
    async with open_tokens("http://127.0.0.1:1/jwt/auth", account=account) as tokens:
        with pytest.raises(Misconfigured, match="passthrough"):
            await tokens.authorization(BASIC, PULL)


@pytest.mark.parametrize(
    ("realm", "basic", "offered", "chosen"),
    [
        pytest.param("http://127.0.0.1:1/", False, [BASIC, BEARER], BEARER, id="a token where there is an issuer"),
        pytest.param("", True, [BEARER, BASIC], BASIC, id="Basic where there is none"),
        pytest.param("http://127.0.0.1:1/", True, [BASIC, BEARER], BASIC, id="the first of two that will do"),
        pytest.param("", True, [BEARER], BEARER, id="one that cannot be answered"),
        pytest.param("", True, [Challenge("negotiate")], None, id="an unknown scheme"),
        pytest.param("", True, [], None, id="none"),
    ],
)
async def test_the_challenge_that_can_be_answered_is_chosen(
    realm: str, basic: bool, offered: list[Challenge], chosen: Challenge | None
) -> None:
    async with open_tokens(realm, basic=basic) as tokens:
        assert tokens.choose(offered) is chosen


async def test_the_password_is_in_no_message(account: Account) -> None:
    echo = web.Response(status=400, text=json.dumps({"errors": [{"code": "secret", "message": GEO}]}))
    async with Server(scripted(echo)) as issuer, open_tokens(issuer.url, account=account) as tokens:
        with pytest.raises(RegistryError) as caught:
            await tokens.authorization(BEARER, PULL)
        assert "secret" not in str(caught.value)
        assert GEO.partition(" ")[2] not in str(caught.value)
