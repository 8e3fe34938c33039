"""A running renewal, as the settings have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from extproc.oci.reference import Name
from extproc.registry.connect import open_registries
from extproc.registry.error import RegistryError
from extproc.renewal.hot_tags import HotTags
from extproc.renewal.renewal import ANSWER_WITHIN, Leases, Outcome, Renewal
from extproc.settings import Settings, SettingsError
from extproc.telemetry.work import Work


@asynccontextmanager
async def open_renewal(
    settings: Settings,
    *,
    store: Leases,
    blocks: Callable[[Name], bool],
    count: Callable[[Outcome], None],
    work: Work | None = None,
) -> AsyncIterator[Renewal | None]:
    """None where there is nothing to renew: no service account, switched off, or tags always ask the primary.

    Raises SettingsError when the registries cannot be reached by the settings.
    """
    account, work = settings.service_account, work or Work.untraced()
    if not account.username or not account.renew or settings.policy.max_staleness <= 0:
        yield None
        return
    async with AsyncExitStack() as stack:
        try:
            registries = await stack.enter_async_context(
                open_registries(settings, timeout=ANSWER_WITHIN, traces=[work.http()])
            )
        except RegistryError as error:
            raise SettingsError(f"leases cannot be renewed: {error}") from error
        renewal = Renewal(
            store=store,
            primary=registries.primary,
            max_staleness=settings.policy.max_staleness,
            hot=HotTags(account.renew_tags, account.renew_idle),
            rate=account.renew_rate,
            blocks=blocks,
            count=count,
            work=work,
        )
        running = asyncio.create_task(renewal.run())
        try:
            yield renewal
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
