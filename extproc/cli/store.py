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

    Raises SettingsError for files of the store table that cannot be used, StoreUnavailable (or what it was more
    exactly) with a sentence that has the remedy, and whatever else `use` raises.
    """
    from extproc.build import build_store
    from extproc.evidence.fault import fault
    from extproc.evidence.store import StoreUnavailable

    async def run() -> Result:
        store = build_store(settings)
        try:
            return await use(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        raise type(error)(fault(error, settings.store.public_url)) from error
