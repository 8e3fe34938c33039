"""What is held, as JSON: GET /status (all names, or `?limit=N`), GET /status/<name>.

They name repositories: the admin address is not for everybody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from extproc.admin.line import line
from extproc.admin.turn import TooMany, Turn
from extproc.evidence.fault import fault
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name, ReferenceInvalid

PATH: Final = "/status"
BELOW: Final = "/status/"
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

Document = Mapping[str, Any]
_Wanted = Name | int | None
"""A name, or for the site the number of names to read."""


class Reports(Protocol):
    """Where the documents come from."""

    async def site(self, limit: int | None = None) -> Document:
        """Never raises StoreUnavailable: that the store is away is what it tells."""

    async def name(self, name: Name) -> Document:
        """Raises StoreUnavailable."""


class StatusPage:
    """A page of the admin server, for both paths."""

    def __init__(self, reports: Reports, turn: Turn) -> None:
        self._reports = reports
        self._turn = turn

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        try:
            wanted = _wanted(request)
        except ValueError as error:
            return line({"error": str(error)}, 400)
        try:
            found = await self._turn.of(("status", wanted), lambda: self._made(wanted))
        except TooMany as error:
            return line({"error": str(error)}, 503)
        return web.Response(status=found.status, body=found.body, content_type="application/json")

    async def _made(self, wanted: _Wanted) -> web.Response:
        try:
            if isinstance(wanted, Name):
                document = await self._reports.name(wanted)
                status = 200 if document["held"] else 404
            else:
                document = await self._reports.site(wanted)
                status = 200 if document["store"]["available"] else 503
        except StoreUnavailable as error:
            document, status = {"error": fault(error)}, 503
        return await asyncio.to_thread(line, document, status)


def _wanted(request: web.BaseRequest) -> _Wanted:
    """Raises ValueError, with the value and the remedy."""
    path = request.raw_path.partition("?")[0]
    if path != PATH:
        try:
            return Name(path.removeprefix(BELOW))
        except ReferenceInvalid as error:
            raise ValueError(f"{error}; ask for {BELOW} and a name, or for {PATH}") from error
    limit = request.query.get("limit")
    if limit is None:
        return None
    if _LIMIT.fullmatch(limit) is None:
        raise ValueError(f"limit {limit[:100]!r} is not a whole number above 0 of at most 9 digits")
    return int(limit)
