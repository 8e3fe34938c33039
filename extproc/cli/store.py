"""The store for the length of one command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from extproc.evidence.store import Store
    from extproc.settings import Settings

Result = TypeVar("Result")


def with_store(settings: Settings, use: Callable[[Store], Coroutine[Any, Any, Result]]) -> Result:
    """What `use` gives, in an event loop of its own, on the store that the settings name, unguarded; closed after it.

    Raises StoreUnavailable for a store that cannot be connected to by its settings, and whatever `use` raises.
    """
    from extproc.build import build_store

    async def run() -> Result:
        store = build_store(settings)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())
