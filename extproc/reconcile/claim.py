"""One run at a time: a claim in the store, renewed while it runs, expiring by itself when its holder was killed."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from extproc.evidence.store import Store, StoreUnavailable

TOPIC: Final = "reconcile"
TTL: Final = 15.0
"""Seconds that a claim outlives its holder."""
_LOOK_EVERY: Final = 0.25
_LAST_WORDS: Final = 2.0
"""Seconds to release it."""


class ClaimTaken(Exception):
    """Another run is under way; the message says so, and who runs it where that is known."""


class ClaimLost(Exception):
    """The store was away for longer than the claim lasts, and another run has begun since."""


def identity(command: str) -> str:
    """Who this process is, for people: `serve on host, pid 12`."""
    return f"{command} on {socket.gethostname()}, pid {os.getpid()}"


@asynccontextmanager
async def claimed(
    store: Store, *, ttl: float = TTL, wait: float = 0.0, on_wait: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[None]:
    """Hold the claim for the block. `wait`: seconds to wait for another holder; `on_wait` is called when it begins.

    Raises ClaimTaken at its start, ClaimLost out of its middle, StoreUnavailable.
    """
    owner = secrets.token_hex(8)
    deadline = time.monotonic() + wait
    while not await store.claim(TOPIC, owner, ttl):
        if time.monotonic() >= deadline:
            raise ClaimTaken("another reconcile is running")
        if on_wait is not None:
            await on_wait()
            on_wait = None
        await asyncio.sleep(_LOOK_EVERY)
    lost = False

    async def renew(scope: asyncio.Timeout) -> None:
        nonlocal lost
        while not lost:
            await asyncio.sleep(ttl / 5)
            with suppress(StoreUnavailable):
                lost = not await store.claim(TOPIC, owner, ttl)
        scope.reschedule(asyncio.get_running_loop().time())

    renewing: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(None) as scope:
            renewing = asyncio.create_task(renew(scope))
            yield
    except TimeoutError as error:
        if not lost:
            raise
        raise ClaimLost("another reconcile began while the store was away; this one ends") from error
    finally:
        if renewing is not None:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
        if not lost:
            # Not released, it expires.
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await store.release(TOPIC, owner)
