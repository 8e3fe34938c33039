"""Asks the process that serves, over its admin address: with memory:// nobody else has the evidence."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.settings import Admin, SettingsError

_WITHIN: Final = 30.0
"""Seconds for the whole answer."""
_ANSWERS: Final = frozenset({200, 404, 503})
"""404: nothing is held of the name. 503: the store is away. Both carry a document."""


async def ask_serving(admin: Admin, name: Name | None, limit: int | None) -> dict[str, Any]:
    """The document of `/status` or `/status/<name>`. Raises StoreUnavailable, and SettingsError for a secret that
    cannot be read."""
    url = f"http://{admin.address.reached}/status{f'/{name}' if name else ''}"
    query = {} if limit is None else {"limit": str(limit)}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN)) as session,
            session.get(url, params=query, headers=_credentials(admin), allow_redirects=False) as answer,
        ):
            if answer.status == 401:
                raise StoreUnavailable(f"{url} wants a secret: set admin.secret_file as in the process that serves")
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


def _credentials(admin: Admin) -> dict[str, str]:
    if admin.secret_file is None:
        return {}
    try:
        first = next(iter(admin.secret_file.read_text().split()), "")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot read admin.secret_file {str(admin.secret_file)!r}: {error}; correct the path or its permissions"
        ) from error
    return {"Authorization": f"Bearer {first}"}
