"""One site's registry over HTTP: what every question has in common.

Rules
1. GET and HEAD only. No redirect is followed: an answer from elsewhere would be no evidence about this site.
2. A lost connection is tried once more; an answer that takes too long is not.
3. 429 and 503 with `Retry-After` are waited for, at most two times and never longer than the timeout; this is not on
   any request's path.
4. The token for a question is sent along as soon as this registry has once asked for one, so that the 401 costs one
   crossing of the WAN and not one for each name.
5. Bodies are bounded, and asked for as they are: digests are over the bytes that are stored.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiolimiter import AsyncLimiter
from multidict import CIMultiDictProxy
from yarl import URL

from extproc.registry.agent import USER_AGENT
from extproc.registry.challenge import Challenge, parse_challenges
from extproc.registry.error import Misconfigured, RegistryError, Unreachable, cause_of
from extproc.registry.token_source import Authorization, Scopes, TokenSource

LARGEST_BODY: Final = 4 * 1024 * 1024
"""Bytes of a manifest or of one page of a listing; distribution accepts manifests of 4 MiB."""
_TRIES: Final = 3
"""Of a question that a registry asks us to repeat later."""
_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)
_REASON: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry said."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    following: URL | None
    """The target of `Link: <…>; rel="next"` (RFC 8288), absolute; not yet judged."""


class Line:
    """The way to one registry."""

    def __init__(
        self,
        base: str,
        *,
        session: aiohttp.ClientSession,
        tokens: TokenSource,
        limiter: AsyncLimiter,
        timeout: float,
        host: str = "",
        server_name: str = "",
        site: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`base`: scheme and authority. `host`: Host header, the URL's when empty; `server_name` likewise.

        `timeout`: seconds for one try of a question, its answer included. `site`: its name in messages.
        """
        self._base = base.rstrip("/")
        self._session = session
        self._tokens = tokens
        self._limiter = limiter
        self._timeout = timeout
        self._host = host
        self._server_name = server_name
        self.site = f"the {site} registry" if site else f"the registry {self._base}"
        self._remedy = f"; start it or correct the sites.{site} table" if site else ""
        self._sleep = sleep
        self._challenge: Challenge | None = None

    async def ask(
        self, method: str, target: str, *, scopes: Scopes, accept: str = "", largest: int = LARGEST_BODY
    ) -> Answer:
        """`target`: path and query, as they go on the wire. Raises RegistryError, also for a 401 that stays."""
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if self._host:
            headers["Host"] = self._host
        if accept:
            headers["Accept"] = accept
        authorization: Authorization | None = None
        if self._challenge is not None:
            authorization = await self._authorize(method, target, self._challenge, scopes)
        for last in (False, False, True):
            if authorization is not None:
                headers["Authorization"] = authorization.value
            answer = await self._patient(method, target, headers, largest)
            if answer.status != 401:
                return answer
            self._challenge = challenge = self._challenge_of(method, target, answer)
            if last or (authorization is not None and authorization.fresh):
                raise self._not_let_in(method, target, answer, challenge)
            refused = authorization.value if authorization else ""
            authorization = await self._authorize(method, target, challenge, scopes, refused)
        raise AssertionError("the last try returns or raises")

    def refused(self, method: str, target: str, answer: Answer, why: str = "") -> RegistryError:
        """An answer that is of no use, as an error."""
        reasons = [code for code in codes_of(answer.body) if code] + ([why] if _REASON.fullmatch(why) else [])
        told = f" ({', '.join(reasons)})" if reasons else ""
        return RegistryError(f"{self._asked(method, target)}: it answered {answer.status}{told}", answer.status)

    def _not_let_in(self, method: str, target: str, answer: Answer, challenge: Challenge) -> RegistryError:
        """For a 401 to the best that we have."""
        refused = self.refused(method, target, answer, challenge.parameters.get("error", ""))
        if challenge.scheme != "basic":
            return refused
        return Misconfigured(
            f"{refused}: check the service account {self._tokens.username!r}, its password_file and what it may read",
            answer.status,
        )

    def unusable(self, method: str, target: str, what: str) -> RegistryError:
        """An answer whose content is of no use."""
        return RegistryError(f"{self._asked(method, target)}: {what}")

    def _unreachable(self, method: str, target: str, cause: str) -> Unreachable:
        return Unreachable(f"{self._asked(method, target)}: it cannot be reached: {cause}{self._remedy}")

    def _asked(self, method: str, target: str) -> str:
        return f"{self.site}, asked {method} {target.partition('?')[0]}"

    async def _authorize(
        self, method: str, target: str, challenge: Challenge, scopes: Scopes, refused: str = ""
    ) -> Authorization:
        try:
            return await self._tokens.authorization(challenge, scopes, refused=refused)
        except RegistryError as error:
            raise type(error)(f"{self._asked(method, target)}: {error}", error.status) from error

    def _challenge_of(self, method: str, target: str, answer: Answer) -> Challenge:
        challenge = self._tokens.choose(parse_challenges(answer.headers.getall("WWW-Authenticate", [])))
        if challenge is not None:
            return challenge
        raise self.unusable(method, target, "it answered 401 without a challenge of Bearer or Basic")

    async def _patient(self, method: str, target: str, headers: Mapping[str, str], largest: int) -> Answer:
        """With the waits that the registry asks for."""
        left = self._timeout
        for _ in range(_TRIES - 1):
            answer = await self._resilient(method, target, headers, largest)
            pause = _retry_after(answer)
            if pause is None or pause > left:
                return answer
            left -= pause
            await self._sleep(pause)
        return await self._resilient(method, target, headers, largest)

    async def _resilient(self, method: str, target: str, headers: Mapping[str, str], largest: int) -> Answer:
        """With one more try for a lost connection. Raises Unreachable."""
        try:
            return await self._once(method, target, headers, largest)
        except TimeoutError:
            pass
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as first:
            # A certificate stays wrong, and a connection closed without an answer was tried again by aiohttp itself.
            if isinstance(first, aiohttp.ClientSSLError | aiohttp.ServerDisconnectedError):
                raise self._unreachable(method, target, cause_of(first)) from first
            try:
                return await self._once(method, target, headers, largest)
            except TimeoutError:
                pass
            except aiohttp.ClientError as error:
                raise self._unreachable(method, target, cause_of(error)) from error
        except aiohttp.ClientError as error:
            raise self._unreachable(method, target, cause_of(error)) from error
        raise Unreachable(f"{self._asked(method, target)}: it took longer than {self._timeout:g} s")

    async def _once(self, method: str, target: str, headers: Mapping[str, str], largest: int) -> Answer:
        await self._limiter.acquire()
        async with self._session.request(
            method,
            URL(self._base + target, encoded=True),
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            server_hostname=self._server_name or None,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > largest:
                    raise self.unusable(method, target, f"its answer is larger than {largest} bytes")
            try:
                following = _next(response)
            except ValueError as error:
                raise self.unusable(method, target, "its Link header is malformed") from error
            return Answer(response.status, response.headers, bytes(body), following)


def codes_of(body: bytes) -> tuple[str, ...]:
    """The error codes of a registry's answer (OCI distribution spec, "Error codes"); none if it is something else."""
    try:
        errors = json.loads(body)["errors"]
        codes = [error["code"] for error in errors]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ()
    return tuple(code for code in codes[:3] if isinstance(code, str) and _CODE.fullmatch(code))


def _next(response: aiohttp.ClientResponse) -> URL | None:
    for link in response.links.values():
        relations = next((str(value) for name, value in link.items() if name.lower() == "rel"), "")
        if "next" in relations.lower().split():
            return URL(link["url"])
    return None


def _retry_after(answer: Answer) -> float | None:
    """Seconds (RFC 9110 §10.2.3); None when there is nothing to wait for."""
    if answer.status not in (429, 503):
        return None
    value = answer.headers.get("Retry-After", "")
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
