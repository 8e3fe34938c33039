"""Chapter: logging in through the challenge, as every client does."""

from __future__ import annotations

from extproc.sandbox.demo.stage import PULL, Chapter, Stage, Step, seen
from extproc.sandbox.demo.step import Expected, Seen


async def challenged(stage: Stage) -> Seen:
    answer = await stage.reader.send("GET", "/v2/")
    realm = f'realm="{stage.sandbox.sites.auth_url}"'
    said = answer.headers.get("www-authenticate", "")
    problems = () if realm in said else (f"the challenge {said!r} lacks {realm}",)
    return seen(answer, note="names the token issuer", problems=problems)


async def token(stage: Stage) -> Seen:
    return seen(await stage.reader.log_in(PULL), note="a token that can only pull")


async def logged_in(stage: Stage) -> Seen:
    return seen(await stage.reader.send("GET", "/v2/", scope=PULL))


CHAPTER = Chapter(
    "Log in: one URL, the issuer that was there before",
    (
        Step("no token: a challenge", challenged, Expected(401, reason="token-missing")),
        Step("ask the issuer", token, Expected(200)),
        Step("again, with the token", logged_in, Expected(200, "secondary", "api-base")),
    ),
)
