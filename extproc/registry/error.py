"""What a registry, or the way to it, did not give. Messages name the site and the question, never a token."""

from __future__ import annotations

import os
from typing import Final

import aiohttp

_SHOWN: Final = 200
"""Characters of a cause that a message repeats."""


class RegistryError(Exception):
    """A question without a usable answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Of the answer; None when there was none, or when it was the answer's content that could not be used."""


class NameUnknown(RegistryError):
    """The registry has no repository of this name (404 for a listing of it)."""


class BulkUnsupported(RegistryError):
    """The registry has no bulk listing: another registry than GitLab's, or its metadata database is off."""


class Unreachable(RegistryError):
    """The site or its token endpoint cannot be reached, or takes too long: the next question will fare no better."""


class Misconfigured(RegistryError):
    """No question will be answered before the settings or the account are changed; the message has the remedy."""


def cause_of(error: Exception) -> str:
    """Why a request failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, aiohttp.ClientResponseError):
        # Its text repeats what the other side sent.
        return "its answer is not HTTP"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        # Its text says "Connect call failed" instead of why, and "ssl:default" where there is no TLS.
        number, words = error.os_error.errno, error.os_error.strerror
        why = os.strerror(number) if number is not None and number > 0 else words
        return f"{error.host}:{error.port}: {why or type(error.os_error).__name__}"
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__
