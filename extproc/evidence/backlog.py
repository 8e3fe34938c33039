"""Invalidations that the store has not taken yet: kept, retried, and until then no local answer for the name.

Rules
1. A name is blocked from before the first attempt until the store has taken it: in between, an old lease or
   a missing tombstone may be in the store, and this worker knows better.
2. Of one write (name and mark) only the newest wish counts: an end does what its begin does and lifts its mark.
3. One attempt at a time for each write, so a begin that is late never follows its end.
4. Nothing is dropped but by being taken, or with the process, which tries once more before it ends and says how many
   are lost. A repeated invalidation is harmless, a missing one is not.
5. A wish that fails goes behind the others: one name's trouble does not hold up the rest.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from extproc.evidence.model import Invalidation
from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.reference import Name

FIRST_PAUSE: Final = 0.05
LAST_PAUSE: Final = 0.2
"""Seconds between tries: doubled from the first to the last. Short, for when the store comes back other workers may
read it at once, and serve what the writes kept here make untrue until it has taken them."""

_MOST_ONE_BY_ONE: Final = 50
"""Kept writes. With more of them when the store is back, all leases are voided first, in one call: other workers
believe the store sooner (the guard's quarantine) than it can be told of each."""

Wish = Callable[[], Awaitable[object]]
"""One call of the store, to be tried until it succeeds."""


@dataclass(slots=True)
class _Pending:
    """The newest wish of one write."""

    wish: Wish
    trying: asyncio.Lock = field(default_factory=asyncio.Lock)


class Backlog:
    """Takes invalidations for `store` and never raises for its failures; `run` retries what it did not take."""

    def __init__(
        self,
        store: Store,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        start_voided: bool = False,
    ) -> None:
        """`start_voided`: leases must be voided before this worker may serve any (it cannot know what its
        predecessor left undone), so everything is blocked until the store took that."""
        self._store = store
        self._pause = pause
        self._wake = asyncio.Event()
        self._writes: OrderedDict[tuple[Name, str], _Pending] = OrderedDict()
        self._blocked: dict[Name, int] = {}
        """How many writes are pending under each name."""
        self._voids_wished = int(start_voided)
        self._voids_taken = 0
        if start_voided:
            self._wake.set()

    def blocks(self, name: Name) -> bool:
        """Whether this worker must not answer for `name` from the store's evidence."""
        return self._void_pending or name in self._blocked

    @property
    def pending(self) -> int:
        """How many invalidations the store has not taken."""
        return len(self._writes) + self._void_pending

    @property
    def _void_pending(self) -> bool:
        return self._voids_taken < self._voids_wished

    async def begin_write(self, name: Name, mark: str, what: Invalidation, ttl: float) -> bool:
        """Operation 2, now if the store takes it, else later; whether it was now."""
        return await self._wish((name, mark), lambda: self._store.begin_write(name, mark, what, ttl))

    async def end_write(self, name: Name, mark: str, what: Invalidation) -> None:
        """Operation 3, likewise; it replaces a begin of the same mark that is still pending."""
        await self._wish((name, mark), lambda: self._store.end_write(name, mark, what))

    async def void_leases(self) -> None:
        """Site-wide; everything is blocked until the store took it."""
        self._voids_wished += 1
        if not await self._try_void():
            self._wake.set()

    def void_leases_soon(self) -> None:
        """The same, left to `run`: everything is blocked from this moment on."""
        self._voids_wished += 1
        self._wake.set()

    async def run(self) -> None:
        """Retry until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._drain()

    async def flush(self, seconds: float) -> int:
        """Retry for at most `seconds`: how many invalidations the store still has not taken. For an orderly stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._drain()
        return self.pending

    async def _drain(self) -> None:
        delay, away = FIRST_PAUSE, False
        while self.pending:
            if await self._retry():
                if away and len(self._writes) > _MOST_ONE_BY_ONE:
                    self._voids_wished += 1
                delay, away = FIRST_PAUSE, False
            else:
                away = True
                await self._pause(delay)
                delay = min(2 * delay, LAST_PAUSE)

    async def _wish(self, key: tuple[Name, str], wish: Wish) -> bool:
        pending = self._writes.get(key)
        if pending is None:
            pending = self._writes[key] = _Pending(wish)
            self._blocked[key[0]] = self._blocked.get(key[0], 0) + 1
        else:
            pending.wish = wish
        taken = False
        try:
            taken = await self._try(key, pending)
        finally:
            # Also when the caller was cancelled meanwhile: nobody knows whether the store took it.
            if not taken:
                self._wake.set()
        return taken

    async def _try(self, key: tuple[Name, str], pending: _Pending) -> bool:
        """Whether the store has taken the newest wish."""
        async with pending.trying:
            if self._writes.get(key) is not pending:
                return True
            wish = pending.wish
            try:
                await wish()
            except StoreUnavailable:
                return False
            if pending.wish is not wish:
                return False
            del self._writes[key]
            self._blocked[key[0]] -= 1
            if not self._blocked[key[0]]:
                del self._blocked[key[0]]
            return True

    async def _try_void(self) -> bool:
        wished = self._voids_wished
        try:
            await self._store.void_leases()
        except StoreUnavailable:
            return False
        self._voids_taken = max(self._voids_taken, wished)
        return not self._void_pending

    async def _retry(self) -> bool:
        """The void and one write: False if the store took neither."""
        voided = self._void_pending and await self._try_void()
        if not self._writes:
            return voided
        key, pending = next(iter(self._writes.items()))
        taken = await self._try(key, pending)
        if not taken and key in self._writes:
            self._writes.move_to_end(key)
        return taken or voided
