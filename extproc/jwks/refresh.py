"""When the issuer's JWKS is fetched, and for how long what was fetched counts.

Rules
1. Every `refresh` seconds, and sooner when a token names a key that is not known: keys are rotated.
2. Never twice within `min_interval`, whatever happens: anybody can send tokens with keys that nobody knows.
3. A fetch that fails changes nothing, until the last good set is older than `max_age`.
4. No request waits for a fetch: until it is done, the primary judges the token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from extproc.auth.keys import KeyDocument, KeySet, KeysInvalid
from extproc.jwks.fetch import JwksUnavailable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; see the `auth` table of the settings."""

    refresh: float = 300.0
    min_interval: float = 10.0
    max_age: float = 86400.0


class Refresh:
    """Fetches until cancelled, and hands on what changed."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[KeyDocument]],
        *,
        pace: Pace,
        on_change: Callable[[KeyDocument | None], None],
        on_fetch: Callable[[bool], None] = lambda good: None,
        clock: Callable[[], float],
    ) -> None:
        """`fetch` raises JwksUnavailable. `on_change` gets a document with usable keys, or None when the last is too
        old; `on_fetch` hears of each fetch, whether it was good; `clock` gives seconds that only grow."""
        self._fetch = fetch
        self._pace = pace
        self._on_change = on_change
        self._on_fetch = on_fetch
        self._clock = clock
        self._wanted = asyncio.Event()
        self._current: KeyDocument | None = None
        self._good_at = 0.0
        self.fault = ""
        """Why the last fetch failed; empty when it did not."""

    def unknown_kid(self) -> None:
        """A token names a key that is not there."""
        self._wanted.set()

    async def once(self) -> None:
        """One fetch; what fails is logged when it begins to."""
        self._wanted.clear()  # what is asked for from now on may have come too late for this answer
        try:
            document = await self._fetch()
            KeySet.of([document])  # with one usable key at least
        except (JwksUnavailable, KeysInvalid) as error:
            self._failed(str(error))
            return
        if self.fault:
            log.info("the issuer's keys are fetched again")
        self.fault = ""
        self._good_at = self._clock()
        self._on_fetch(True)
        if document != self._current:
            self._current = document
            self._on_change(document)

    async def keep(self) -> None:
        """Never ends by itself. The first fetch was `once`."""
        while True:
            await asyncio.sleep(self._pace.min_interval)
            try:
                async with asyncio.timeout(self._rest()):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            await self.once()

    def _rest(self) -> float:
        """Seconds after the least interval; a failure is tried again at once then."""
        return 0.0 if self.fault else self._pace.refresh - self._pace.min_interval

    def _failed(self, fault: str) -> None:
        self._on_fetch(False)
        if not self.fault:
            log.error("the issuer's keys cannot be fetched; the last good ones are used", detail=fault)
        self.fault = fault
        if self._current is not None and self._clock() - self._good_at > self._pace.max_age:
            log.error("the issuer's fetched keys are too old and are used no more: the primary judges their tokens")
            self._current = None
            self._on_change(None)
