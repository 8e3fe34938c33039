"""One request for a JWK set (RFC 7517, section 5).

Rules
1. The URL is the configuration's. A redirect is an error: whoever can make one could choose our keys.
2. Bounded: `TIMEOUT` in all, `LARGEST` bytes of body, and no compressed bodies.
3. Whatever goes wrong is one error, in a sentence without the body.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from extproc.auth.keys import KeyDocument
from extproc.registry.agent import USER_AGENT

LARGEST: Final = 256 * 1024
"""Bytes: some hundred keys."""
TIMEOUT: Final = 5.0
"""Seconds for the whole exchange."""


class JwksUnavailable(Exception):
    """No JWK set was got; the message is one sentence that names the URL and the remedy."""


async def fetch_jwks(session: aiohttp.ClientSession, url: str, *, within: float = TIMEOUT) -> KeyDocument:
    """What is there now, not yet judged. Raises JwksUnavailable."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
    try:
        async with (
            asyncio.timeout(within),
            session.get(url, allow_redirects=False, headers=headers) as response,
        ):
            if 300 <= response.status < 400:
                raise JwksUnavailable(
                    f"{url} answered {response.status}, and no redirect is followed: correct auth.keys_url"
                )
            if response.status != 200:
                raise JwksUnavailable(f"{url} answered {response.status}: correct auth.keys_url or the issuer")
            content = bytearray()
            async for part in response.content.iter_any():
                content += part
                if len(content) > LARGEST:
                    raise JwksUnavailable(f"{url} answered more than {LARGEST} bytes: that is no JWKS of an issuer")
            return KeyDocument(url, bytes(content))
    except TimeoutError as error:
        raise JwksUnavailable(f"{url} did not answer within {within:g} s: see whether it can be reached") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise JwksUnavailable(f"{url} cannot be fetched ({error}): see whether it can be reached") from error
