"""Tokens for our own questions (distribution token specification).

Rules
1. The token endpoint is the configured one, whatever realm a challenge names, and so are the service and the scope:
   the password goes nowhere else, and no registry can make us ask for more than the question needs.
2. One token for each set of scopes, kept until shortly before it expires; who asks for one that is being fetched
   waits for it.
3. A token that was refused is not used again. A password that was refused is not sent again for a minute unless it
   has changed: GitLab bans addresses for failed logins.
4. Basic goes to a registry only where that is configured (`auth.mode = "passthrough"`), and it asks for it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import aiohttp
from aiolimiter import AsyncLimiter
from yarl import URL

from extproc.registry.account import Account
from extproc.registry.agent import USER_AGENT
from extproc.registry.challenge import Challenge
from extproc.registry.error import Misconfigured, RegistryError, Unreachable, cause_of

_DEFAULT_LIFETIME: Final = 60.0
"""Seconds, when the issuer tells none (token specification, `expires_in`)."""
_MARGIN: Final = 10.0
"""Seconds before its end that a token is no longer used, or a tenth of its life where that is less."""
_MOST_TOKENS: Final = 2000
_LARGEST: Final = 64 * 1024
"""Bytes of the issuer's answer."""
_PAUSE: Final = 60.0
"""Seconds that a refused password rests."""
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Realm:
    """The token endpoint as we reach it."""

    url: str
    service: str
    host: str = ""
    """Host header; empty: the URL's."""
    server_name: str = ""
    """Of the certificate; empty: the URL's host."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What to send along."""

    value: str
    fresh: bool
    """It was got for this question: there is no better one."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    until: float


Scopes = tuple[str, ...]
"""Such as `repository:group/app:pull`."""


class TokenSource:
    """One issuer, one account or none. Close it after use."""

    def __init__(
        self,
        realm: Realm | None,
        *,
        session: aiohttp.ClientSession,
        account: Account | None = None,
        basic: bool = False,
        timeout: float = 30.0,
        limiter: AsyncLimiter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`realm` None: the registries have no issuer. `basic`: the account may go to a registry that asks for it.

        `timeout` in seconds, for one token.
        """
        self._realm = realm
        self._session = session
        self._account = account
        self._basic = basic
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limiter = limiter or AsyncLimiter(1000, 1)
        self._clock = clock
        self._tokens: OrderedDict[Scopes, _Token] = OrderedDict()
        self._flights: dict[Scopes, asyncio.Task[str]] = {}
        self._refused = ("", 0.0)

    @property
    def username(self) -> str:
        """Of the account; empty without one."""
        return self._account.username if self._account else ""

    def choose(self, challenges: Sequence[Challenge]) -> Challenge | None:
        """The one that can be answered; else one of a kind that could be, if the configuration were another."""
        known = [challenge for challenge in challenges if challenge.scheme in ("bearer", "basic")]
        for challenge in known:
            if self._realm is not None if challenge.scheme == "bearer" else self._basic:
                return challenge
        return known[0] if known else None

    async def authorization(self, challenge: Challenge, scopes: Scopes, *, refused: str = "") -> Authorization:
        """An answer to `challenge`; `refused` is the value that the registry has just refused.

        Raises RegistryError when there is none.
        """
        if challenge.scheme == "basic" and self._basic:
            if self._account is None:
                raise Misconfigured("it asks for a name and a password: set service_account.username", 401)
            return Authorization(self._account.basic(), fresh=True)
        if challenge.scheme != "bearer":
            raise Misconfigured(
                f'it asks for {challenge.scheme!r}, not for a token: set auth.mode = "passthrough" if that is right',
                401,
            )
        if self._realm is None:
            raise Misconfigured("it asks for a token: set auth.realm to its token endpoint", 401)
        token = self._tokens.get(scopes)
        if token is not None and f"Bearer {token.value}" != refused and token.until > self._clock():
            self._tokens.move_to_end(scopes)
            return Authorization(f"Bearer {token.value}", fresh=False)
        self._tokens.pop(scopes, None)
        return Authorization(f"Bearer {await self._shared(self._realm, scopes)}", fresh=True)

    async def close(self) -> None:
        """End what is still being fetched."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _shared(self, realm: Realm, scopes: Scopes) -> str:
        flight = self._flights.get(scopes)
        if flight is None:
            flight = self._flights[scopes] = asyncio.create_task(self._fetch(realm, scopes))
            flight.add_done_callback(lambda done: self._landed(scopes, done))
        # One who asks may be cancelled; the others still wait.
        return await asyncio.shield(flight)

    def _landed(self, scopes: Scopes, flight: asyncio.Task[str]) -> None:
        del self._flights[scopes]
        if not flight.cancelled():
            flight.exception()  # taken note of, also when nobody waits any more

    async def _fetch(self, realm: Realm, scopes: Scopes) -> str:
        basic = self._account.basic() if self._account else ""
        now = self._clock()
        if basic and basic == self._refused[0] and now < self._refused[1]:
            raise Misconfigured(self._refusal(realm), 401)
        token, lifetime = _read(realm, await self._ask(realm, scopes, basic))
        usable = lifetime - min(_MARGIN, lifetime / 10)
        self._tokens[scopes] = _Token(token, now + usable)
        while len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token

    async def _ask(self, realm: Realm, scopes: Scopes, basic: str) -> bytes:
        query = urlencode([("service", realm.service), *(("scope", scope) for scope in scopes)])
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if realm.host:
            headers["Host"] = realm.host
        if basic:
            headers["Authorization"] = basic
        separator = "&" if "?" in realm.url else "?"
        await self._limiter.acquire()
        try:
            async with self._session.get(
                URL(f"{realm.url}{separator}{query}", encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout,
                server_hostname=realm.server_name or None,
            ) as response:
                if response.status == 401 and basic:
                    self._refused = (basic, self._clock() + _PAUSE)
                    raise Misconfigured(self._refusal(realm), 401)
                if response.status != 200:
                    raise RegistryError(
                        f"the token endpoint {realm.url} answered {response.status} for {' '.join(scopes)}",
                        response.status,
                    )
                return await _body(realm, response)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"the token endpoint {realm.url} did not answer: {cause_of(error)}") from error

    def _refusal(self, realm: Realm) -> str:
        return (
            f"the token endpoint {realm.url} refused the service account {self.username!r}: "
            "check service_account.username and its password_file"
        )


async def _body(realm: Realm, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST:
            raise RegistryError(f"the token endpoint {realm.url} answered more than {_LARGEST} bytes")
    return bytes(body)


def _read(realm: Realm, body: bytes) -> tuple[str, float]:
    """The token and its life in seconds. Raises RegistryError."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"the token endpoint {realm.url} did not answer JSON") from error
    fields = answer if isinstance(answer, dict) else {}
    token = fields.get("token") or fields.get("access_token")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        raise RegistryError(f"the token endpoint {realm.url} answered without a token")
    lifetime = fields.get("expires_in")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 <= lifetime < 10**9:
        return token, _DEFAULT_LIFETIME
    return token, float(lifetime)
