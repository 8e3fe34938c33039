"""Keeps Envoy's runtime equal to the role, so that what no processor sees goes to the same registry as the rest.

Rules
1. Envoy's admin interface is asked every two seconds, and at once when the role changes. An Envoy that has been
   started again, with the role as it was rendered, is corrected so.
2. Only what differs is changed, and an Envoy without our key is one of the secondary already.
3. A role that was changed, is the primary's, or was seen to be another at Envoy, and is not known to be Envoy's is a
   fault that `/readyz` shows: writes that no processor saw may go to the other site. As a secondary from the start
   there is else nothing to miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import structlog

from extproc.settings import Endpoint
from extproc.telemetry.seldom import Seldom

log = structlog.get_logger()

KEY: Final = "geo.promoted"
"""Percentage of all requests, 0 or 100 (extproc/bootstrap/routes.py)."""
EVERY: Final = 2.0
"""Seconds between two looks."""
_WITHIN: Final = 1.0
"""Seconds for one answer."""
_ONE_LINE_IN: Final = 60.0
"""Seconds."""
_FAULTS: Final = (OSError, aiohttp.ClientError, TimeoutError, ValueError)


class Role:
    """What Envoy is told, and whether it has taken it."""

    def __init__(self, admin: Endpoint, *, promoted: bool, on_followed: Callable[[], None] = lambda: None) -> None:
        """`admin`: Envoy's. `on_followed` is called when Envoy has followed a change."""
        self._on_followed = on_followed
        self._url = f"http://{admin.reached}"
        self._promoted = promoted
        self._due = promoted
        """Envoy must have heard of it (rule 3)."""
        self._untold = False
        """Envoy has not followed the last change."""
        self._fault = "it has not been asked yet"
        self._changed = asyncio.Event()
        self._seldom = Seldom(_ONE_LINE_IN)

    @property
    def word(self) -> str:
        """For `/readyz`: "ok", or why Envoy may not follow."""
        return f"Envoy may not follow sites.role: {self._fault}" if self._due and self._fault else "ok"

    def change(self, *, promoted: bool) -> None:
        """From now on."""
        if promoted is not self._promoted:
            self._promoted, self._fault = promoted, "it has not been told yet"
            self._due = self._untold = True
            self._changed.set()

    async def keep(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN)) as session:
            while True:
                self._changed.clear()
                await self._look(session)
                try:
                    async with asyncio.timeout(EVERY):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def _look(self, session: aiohttp.ClientSession) -> None:
        wanted = 100 if self._promoted else 0
        try:
            found = await self._asked(session)
            if found != wanted:
                self._due = True
                await self._tell(session, wanted)
                self._tell_followed(wanted, found)
        except _FAULTS as error:
            self._fault = f"envoy.admin {self._url}: {error or type(error).__name__}"
            left_out = self._seldom.left_out("unheard") if self._due else None
            if left_out is not None:
                log.error(  # noqa: TRY400 - no fault of ours
                    "Envoy may not follow sites.role: writes that no worker sees may go to the other site; see that "
                    "envoy.admin is reachable from here",
                    detail=self._fault,
                    left_out=left_out,
                )
            return
        if wanted == (100 if self._promoted else 0):
            if self._untold:
                self._untold = False
                self._on_followed()
            self._fault = ""

    def _tell_followed(self, wanted: int, found: int) -> None:
        """Our own change always; somebody else's, which may come again after each look, seldom."""
        left_out = 0 if self._untold else self._seldom.left_out("followed")
        if left_out is not None:
            log.info("Envoy follows the role", promoted=bool(wanted), before=found, left_out=left_out)

    async def _asked(self, session: aiohttp.ClientSession) -> int:
        async with session.get(f"{self._url}/runtime", allow_redirects=False) as answer:
            answer.raise_for_status()
            document: Any = await answer.json(content_type=None)
        try:
            # "100" as it was set, "100.0" as it was rendered.
            return round(float(document["entries"].get(KEY, {}).get("final_value") or 0))
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"this is not Envoy's runtime: {error!r}") from error

    async def _tell(self, session: aiohttp.ClientSession, value: int) -> None:
        url = f"{self._url}/runtime_modify"
        async with session.post(url, params={KEY: str(value)}, allow_redirects=False) as answer:
            answer.raise_for_status()
