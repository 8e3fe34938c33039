"""Asks the process that serves, over its admin address: with memory:// nobody else has the evidence."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.settings import Endpoint

_WITHIN: Final = 30.0
"""Seconds for the whole answer."""
_ANSWERS: Final = frozenset({200, 404, 503})
"""404: nothing is held of the name. 503: the store is away. Both carry a document."""


async def ask_serving(admin: Endpoint, name: Name | None, limit: int | None) -> dict[str, Any]:
    """The document of `/status` or `/status/<name>`. Raises StoreUnavailable."""
    url = f"http://{_reached(admin)}/status{f'/{name}' if name else ''}"
    query = {} if limit is None else {"limit": str(limit)}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN)) as session,
            session.get(url, params=query, allow_redirects=False) as answer,
        ):
            if answer.status not in _ANSWERS or answer.content_type != "application/json":
                raise StoreUnavailable(
                    f"{url} answered {answer.status}: is admin.address that of a geo-extproc serve of this version?"
                )
            document: dict[str, Any] = await answer.json()
    except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise StoreUnavailable(
            f"with memory:// the process that serves has the evidence, and it does not answer at {url}: "
            f"{error or type(error).__name__}; start it, or correct admin.address"
        ) from error
    if "error" in document:
        raise StoreUnavailable(f"{url}: {document['error']}")
    return document


def _reached(admin: Endpoint) -> Endpoint:
    """An address to listen on everywhere is reached on this machine."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host)  # noqa: S104 - compared, not bound
    return Endpoint(host=local, port=admin.port)
