"""Tokens for our questions: the account's, from the realm; or one that was given."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from extproc.doctor.finding import Finding, State
from extproc.doctor.peer import Peer
from extproc.registry.challenge import Challenge
from extproc.registry.connect import account_of, limited, realm_of
from extproc.registry.error import RegistryError
from extproc.registry.session import open_session
from extproc.registry.token_source import Authorization, Scopes, TokenSource
from extproc.settings import Settings

_BEARER = Challenge("bearer")


class NoToken(Exception):
    """There is none. The message says why."""

    def __init__(self, text: str, remedy: str, state: State) -> None:
        super().__init__(text)
        self.remedy = remedy
        self.state = state

    def missed(self, subject: str) -> Finding:
        """For a check that needs one: why not is another's to tell."""
        return Finding(subject, State.UNKNOWN, f"this needs a token, and {self}", self.remedy)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and when it was asked for and came, by our clock."""

    value: str
    asked: float
    answered: float
    fresh: bool
    """From the issuer just now, not given to us."""

    @property
    def header(self) -> Mapping[str, Any]:
        return self._part(0)

    @property
    def claims(self) -> Mapping[str, Any]:
        return self._part(1)

    def broken(self) -> str:
        """The same with another signature: its first character carries six bits of it, whatever its length."""
        head, _, signature = self.value.rpartition(".")
        return f"{head}.{'B' if signature[:1] == 'A' else 'A'}{signature[1:]}"

    def _part(self, number: int) -> Mapping[str, Any]:
        """Not verified; empty when it cannot be read."""
        try:
            text = self.value.split(".")[number]
            part = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, IndexError, RecursionError):
            return {}
        return part if isinstance(part, dict) else {}


class _Given(TokenSource):
    """The same for every question."""

    token = ""

    async def authorization(self, challenge: Challenge, scopes: Scopes, *, refused: str = "") -> Authorization:
        return Authorization(f"Bearer {self.token}", fresh=True)


class Tokens:
    """Close it after use."""

    def __init__(self, settings: Settings, issuer: Peer | None, *, given: str = "", timeout: float) -> None:
        """`given`: used for every question, instead of the service account's."""
        self._settings = settings
        self._issuer = issuer
        self._given = given
        self._timeout = timeout
        self._source: asyncio.Task[TokenSource] | None = None
        self._own: aiohttp.ClientSession | None = None

    async def source(self) -> TokenSource:
        """For a registry client. Raises RegistryError."""
        if self._source is None:
            self._source = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._source)

    async def token(self, scopes: Scopes = ()) -> Issued:
        """Raises NoToken."""
        if self._settings.auth.mode == "passthrough":
            raise NoToken(
                'auth.mode is "passthrough"', "nothing: the registries judge each request alone", State.UNKNOWN
            )
        if not self._given and account_of(self._settings) is None:
            raise NoToken(
                "there is no account to get one with",
                "give --username and --password-file, or --token-file, or set service_account",
                State.UNKNOWN,
            )
        asked = time.time()
        try:
            source = await self.source()
            authorization = await source.authorization(_BEARER, scopes)
        except RegistryError as error:
            remedy = "correct the account, or see whether the issuer can be reached as sites.issuer or auth.realm say"
            raise NoToken(str(error), remedy, State.FAULT) from error
        value = authorization.value.removeprefix("Bearer ")
        return Issued(value, asked, time.time(), fresh=authorization.fresh and not self._given)

    async def close(self) -> None:
        if self._source is not None:
            (source,) = await asyncio.gather(self._source, return_exceptions=True)
            if isinstance(source, TokenSource):
                await source.close()
        if self._own is not None:
            await self._own.close()

    async def _open(self) -> TokenSource:
        kind = _Given if self._given else TokenSource
        if self._issuer is None:
            # Nobody is asked for tokens; but a registry may ask for the account itself (Basic).
            session = self._own = await open_session("", None)
        else:
            session = await self._issuer.session()
        source = kind(
            realm_of(self._settings),
            session=session,
            account=account_of(self._settings),
            basic=self._settings.auth.mode == "passthrough",
            timeout=self._timeout,
            limiter=limited(50),
        )
        if isinstance(source, _Given):
            source.token = self._given
        return source
