"""Somebody who is asked over HTTP: one request at a time, its time and its answer's size bounded.

No redirect is followed, and no proxy of the environment is used: the answer is of the one that was meant.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from extproc.registry.agent import USER_AGENT
from extproc.registry.error import RegistryError, cause_of

_LARGEST: Final = 16 * 1024 * 1024
"""Bytes of an answer: Envoy's configuration has some hundred thousand."""

Fields = Sequence[tuple[str, str]]
"""Header fields as they are sent: in their spelling, repeated ones too where they are spelled alike."""


class Unreachable(Exception):
    """No answer. The message begins with who was asked, and says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and when, by our clock in seconds since the Unix epoch, it was asked for and came."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    asked: float
    answered: float

    def document(self) -> Any:
        """The body as JSON; None when it is something else."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Peer:
    """One of them. Close it after use."""

    def __init__(
        self,
        name: str,
        url: str,
        open_session: Callable[[], Awaitable[aiohttp.ClientSession]],
        *,
        timeout: float,
        host: str = "",
        server_name: str = "",
    ) -> None:
        """`url`: scheme and authority. `host`: Host header, the URL's when empty; `server_name` likewise. `timeout`:
        seconds for one request. `open_session` raises RegistryError."""
        self.name = name
        self.url = url.rstrip("/")
        self.host = host
        self.server_name = server_name
        self._open = open_session
        self._timeout = timeout
        self._session: asyncio.Task[aiohttp.ClientSession] | None = None

    async def session(self) -> aiohttp.ClientSession:
        """Opened when first needed. Raises RegistryError."""
        if self._session is None:
            self._session = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._session)

    async def ask(
        self, method: str, target: str, fields: Fields = (), *, body: bytes | None = None, largest: int = _LARGEST
    ) -> Reply:
        """`target`: path and query, as they go on the wire. Of the body at most `largest` bytes are read.

        Raises Unreachable.
        """
        headers = CIMultiDict([("User-Agent", USER_AGENT), ("Accept-Encoding", "identity"), *fields])
        if self.host:
            headers["Host"] = self.host
        asked = time.time()
        try:
            session = await self.session()
            async with session.request(
                method,
                URL(self.url + target, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                server_hostname=self.server_name or None,
            ) as response:
                answered = time.time()
                content = bytearray()
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) >= largest:
                        break
                return Reply(response.status, response.headers, bytes(content[:largest]), asked, answered)
        except RegistryError as error:
            raise Unreachable(f"{self} cannot be asked: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unreachable(f"{self} does not answer: {cause_of(error)}") from error

    async def close(self) -> None:
        if self._session is None:
            return
        (session,) = await asyncio.gather(self._session, return_exceptions=True)
        if isinstance(session, aiohttp.ClientSession):
            await session.close()

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"
