"""The issuer's keys as the settings have them, kept up to date."""

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


@dataclass(frozen=True, slots=True)
class OpenKeys:
    """What a process has of them."""

    keys: IssuerKeys
    refresh: Refresh | None
    """None without `auth.keys_url`."""
    needed: bool = True
    """False for passthrough, where nobody looks at a token here."""

    def adopt(self, settings: Settings, files: Sequence[KeyDocument] | None = None) -> None:
        """Read the key files anew, or take `files`. Raises auth.keys.KeysInvalid, and then nothing has changed."""
        if self.needed:
            self.keys.replace_files(_read(settings) if files is None else files)

    def unknown_kid(self) -> None:
        """A token names a key that is not there."""
        if self.refresh is not None:
            self.refresh.unknown_kid()

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
    files: Sequence[KeyDocument] | None = None,
) -> AsyncIterator[OpenKeys]:
    """The keys, after the first fetch where there is a URL, whether or not it was good: without a key the primary
    judges each token, which is better than no start (promise P1).

    `use` gets each new set; `files`: what the key files have in them, where somebody else has read them. Raises
    auth.keys.KeysInvalid, and SettingsError when the CA file cannot be used.
    """
    auth = settings.auth
    if auth.mode == "passthrough":
        yield OpenKeys(IssuerKeys([], use), None, needed=False)
        return
    keys = IssuerKeys(_read(settings) if files is None else files, use)
    if not auth.keys_url:
        yield OpenKeys(keys, None)
        return
    try:
        session = await open_session(auth.keys_url, auth.keys_ca)
    except RegistryError as error:
        raise SettingsError(f"auth.keys_url cannot be fetched: {error}") from error
    async with session:
        refresh = Refresh(
            lambda: fetch_jwks(session, auth.keys_url),
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
