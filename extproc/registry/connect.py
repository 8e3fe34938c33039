"""Both registries as the settings have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiolimiter import AsyncLimiter
from yarl import URL

from extproc.registry.account import Account
from extproc.registry.client import RegistryClient
from extproc.registry.line import Line
from extproc.registry.session import open_session
from extproc.registry.token_source import Realm, TokenSource
from extproc.settings import Settings, Site


@dataclass(frozen=True, slots=True)
class Registries:
    """Both sites' registries."""

    primary: RegistryClient
    secondary: RegistryClient


@asynccontextmanager
async def open_registries(
    settings: Settings,
    *,
    rate: float | None = None,
    timeout: float | None = None,
    traces: Sequence[aiohttp.TraceConfig] = (),
) -> AsyncIterator[Registries]:
    """Clients of both, and what they need, closed afterwards. Nothing is connected before the first question.

    `rate`: requests a second to each site; `timeout`: seconds for one of them; reconcile's when not given. Tokens are
    asked for at the same rate. `traces` hear of each request. Raises RegistryError when a CA file cannot be used.
    """
    rate = settings.reconcile.rate if rate is None else rate
    timeout = settings.reconcile.timeout if timeout is None else timeout
    async with AsyncExitStack() as stack:
        realm, issuer = realm_of(settings), settings.sites.issuer
        session = await open_session(realm.url if realm else "", issuer.ca if issuer else None, traces)
        tokens = TokenSource(
            realm,
            session=await stack.enter_async_context(session),
            account=account_of(settings),
            basic=settings.auth.mode == "passthrough",
            timeout=timeout,
            limiter=limited(rate),
        )
        stack.push_async_callback(tokens.close)

        async def client(name: str, site: Site) -> RegistryClient:
            line = Line(
                site.url,
                session=await stack.enter_async_context(await open_session(site.url, site.ca, traces)),
                tokens=tokens,
                limiter=limited(rate),
                timeout=timeout,
                host=site.host,
                server_name=site.server_name,
                site=name,
            )
            return RegistryClient(line)

        yield Registries(
            await client("primary", settings.sites.primary), await client("secondary", settings.sites.secondary)
        )


def limited(rate: float) -> AsyncLimiter:
    """`rate` a second, in bursts of at most a second's worth."""
    return AsyncLimiter(rate, 1.0) if rate >= 1 else AsyncLimiter(1.0, 1.0 / rate)


def account_of(settings: Settings) -> Account | None:
    account = settings.service_account
    if not account.username or account.password_file is None:
        return None
    return Account(account.username, account.password_file)


def realm_of(settings: Settings) -> Realm | None:
    """The token endpoint: the issuer's site with the realm's path where it is given, for clients may reach it through
    our own listener; else the realm itself. None for registries without one."""
    if not settings.auth.realm:
        return None
    realm = URL(settings.auth.realm, encoded=True)
    issuer = settings.sites.issuer
    if issuer is None:
        return Realm(settings.auth.realm, settings.auth.service)
    return Realm(
        issuer.url + realm.raw_path_qs,
        settings.auth.service,
        host=issuer.host or realm.host_port_subcomponent or "",
        server_name=issuer.server_name,
    )
