"""The issuer's keys as the settings have them, kept up to date: by this process, or by a supervisor of it.

Under a supervisor no worker reads a file or fetches: however many there are, the issuer is asked by one, and a worker
that is started again while the issuer is away has the keys of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from extproc.auth.keys import KeyDocument, KeySet
from extproc.jwks.fetch import fetch_jwks
from extproc.jwks.keys import IssuerKeys
from extproc.jwks.refresh import Pace, Refresh
from extproc.registry.error import RegistryError
from extproc.registry.session import open_session
from extproc.settings import Settings, SettingsError
from extproc.telemetry import names
from extproc.telemetry.work import Work


@dataclass(frozen=True, slots=True)
class OpenKeys:
    """What a process has of them."""

    keys: IssuerKeys
    refresh: Refresh | None
    """None without `auth.keys_url`, and where somebody else fetches."""
    needed: bool = True
    """False for passthrough, where nobody looks at a token here."""
    on_unknown_kid: Callable[[], None] = lambda: None
    """Who fetches hears of it."""

    def adopt(self, settings: Settings, documents: Sequence[KeyDocument] | None = None) -> None:
        """Read the key files anew, or take `documents`. Raises auth.keys.KeysInvalid before anything changed."""
        if self.needed:
            self.keys.replace_files(_read(settings) if documents is None else documents)

    def unknown_kid(self) -> None:
        """A token names a key that is not there."""
        if self.refresh is not None:
            self.refresh.unknown_kid()
        else:
            self.on_unknown_kid()

    @property
    def known(self) -> bool:
        """Whether there is a key, or no need of one."""
        return self.keys.count > 0 or not self.needed

    @property
    def word(self) -> str:
        """For `/readyz`."""
        if self.refresh is not None and self.refresh.fault:
            return f"{'stale' if self.known else 'missing'}: {self.refresh.fault}"
        return "ok"


@asynccontextmanager
async def open_keys(
    settings: Settings,
    use: Callable[[KeySet], None],
    *,
    on_fetch: Callable[[bool], None],
    documents: Sequence[KeyDocument] | None = None,
    on_unknown_kid: Callable[[], None] = lambda: None,
    work: Work | None = None,
) -> AsyncIterator[OpenKeys]:
    """The keys, after the first fetch where there is a URL, whether or not it was good: without a key the primary
    judges each token, which is better than no start (promise P1).

    `use` gets each new set; `documents`: what somebody else has read and fetched, and will hand on anew, who hears of
    each unknown key by `on_unknown_kid`; `work`: for spans of the fetches. Raises auth.keys.KeysInvalid, and
    SettingsError when the CA file cannot be used.
    """
    auth, work = settings.auth, work or Work.untraced()
    if auth.mode == "passthrough":
        yield OpenKeys(IssuerKeys([], use), None, needed=False)
        return
    if documents is not None:
        yield OpenKeys(IssuerKeys(documents, use), None, on_unknown_kid=on_unknown_kid)
        return
    keys = IssuerKeys(_read(settings), use)
    if not auth.keys_url:
        yield OpenKeys(keys, None)
        return
    try:
        session = await open_session(auth.keys_url, auth.keys_ca, [work.http()])
    except RegistryError as error:
        raise SettingsError(f"auth.keys_url cannot be fetched: {error}") from error

    async def fetch() -> KeyDocument:
        with work.span(names.KEYS_SPAN):
            return await fetch_jwks(session, auth.keys_url)

    async with session:
        refresh = Refresh(
            fetch,
            pace=Pace(auth.keys_refresh, auth.keys_min_interval, auth.keys_max_age),
            on_change=keys.replace_fetched,
            on_fetch=on_fetch,
            clock=asyncio.get_running_loop().time,
        )
        await refresh.once()
        keeping = asyncio.create_task(refresh.keep())
        try:
            yield OpenKeys(keys, refresh)
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


def _read(settings: Settings) -> list[KeyDocument]:
    return [KeyDocument.read(path) for path in settings.auth.keys]
