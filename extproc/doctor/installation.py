"""Everybody who is asked, opened when first needed and closed together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from yarl import URL

from extproc.bootstrap import render
from extproc.doctor.finding import Finding, fault, unknown
from extproc.doctor.peer import Peer, Unreachable
from extproc.doctor.tokens import Tokens
from extproc.oci.reference import Name
from extproc.registry.client import RegistryClient
from extproc.registry.connect import limited, realm_of
from extproc.registry.error import RegistryError
from extproc.registry.line import Line
from extproc.registry.session import open_session
from extproc.settings import Settings, Site

REQUESTS_IN_A_CHECK: Final = 3
"""A request may take this part of a check's time: one that hangs leaves time to say so."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says beside the settings."""

    url: str = ""
    """Of the gateway, as clients reach it; empty: where `envoy.listen` is reached from here."""
    ca: Path | None = None
    """CA certificates for `url`."""
    token: str = field(default="", repr=False)
    repository: Name | None = None
    """To ask about, instead of one that is found."""
    timeout: float = 15.0
    """Seconds for one check."""


@dataclass(frozen=True, slots=True)
class Installation:
    """All of it."""

    settings: Settings
    wishes: Wishes
    primary: Peer
    secondary: Peer
    gateway: Peer
    admin: Peer
    """Ours."""
    envoy_admin: Peer
    issuer: Peer | None
    """None where the registries have none."""
    tokens: Tokens
    rendered: Mapping[str, Any] | None
    """What `envoy-config` gives; None where nobody wants to compare it."""

    @property
    def sites(self) -> tuple[tuple[Peer, Site], ...]:
        """Primary first."""
        return (self.primary, self.settings.sites.primary), (self.secondary, self.settings.sites.secondary)

    @property
    def promoted(self) -> bool:
        """This site is the primary, and the other is nobody's to ask."""
        return self.settings.sites.promoted

    def away(self, subject: str, error: Unreachable, remedy: str) -> Finding:
        """`subject` does not answer: a fault, but for the former primary, which may be why this site is it now."""
        if subject == "primary" and self.promoted:
            return unknown(
                subject,
                f"{error}; nothing is asked of it while this site is the primary",
                'set sites.role = "secondary" when it is back and has everything that was pushed here',
            )
        return fault(subject, str(error), remedy)

    @property
    def token_endpoint(self) -> str:
        """Path and query of the realm."""
        return URL(self.settings.auth.realm, encoded=True).raw_path_qs

    async def client(self, peer: Peer) -> RegistryClient:
        """For listings of one site. Raises RegistryError."""
        line = Line(
            peer.url,
            session=await peer.session(),
            tokens=await self.tokens.source(),
            limiter=limited(50),
            timeout=self.wishes.timeout / REQUESTS_IN_A_CHECK,
            host=peer.host,
            server_name=peer.server_name,
            site="primary" if peer is self.primary else "secondary",
        )
        return RegistryClient(line)

    async def envoy_document(self, target: str) -> Any:
        """What Envoy's admin interface gives as JSON. Raises Unreachable."""
        reply = await self.envoy_admin.ask("GET", target)
        document = reply.document()
        if reply.status != 200 or not isinstance(document, dict):
            raise Unreachable(f"{self.envoy_admin} answers {reply.status} to {target.partition('?')[0]}")
        return document


@asynccontextmanager
async def open_installation(
    settings: Settings, wishes: Wishes, *, compare: bool = True
) -> AsyncIterator[Installation]:
    """Nobody is asked before a check does. What cannot be opened is said by the checks that need it.

    `compare`: Envoy's configuration is to be compared with what is rendered.
    """
    timeout = wishes.timeout / REQUESTS_IN_A_CHECK
    sites = settings.sites

    def peer(name: str, url: str, open_: Callable[[], Awaitable[aiohttp.ClientSession]], **names: str) -> Peer:
        return Peer(name, url, open_, timeout=timeout, **names)

    def of_site(name: str, site: Site) -> Peer:
        return peer(
            name,
            site.url,
            lambda: open_session(site.url, site.ca),
            host=site.host,
            server_name=site.server_name,
        )

    issuer: Peer | None = None
    realm = realm_of(settings)
    if realm is not None:
        ca = sites.issuer.ca if sites.issuer else None
        origin = str(URL(realm.url, encoded=True).origin())
        issuer = peer(
            "the issuer", origin, lambda: open_session(origin, ca), host=realm.host, server_name=realm.server_name
        )
    tokens = Tokens(settings, issuer, given=wishes.token, timeout=timeout)
    admin = f"http://{settings.admin.address.reached}"
    envoy_admin = f"http://{settings.envoy.admin.reached}"
    installation = Installation(
        settings,
        wishes,
        of_site("the primary registry", sites.primary),
        of_site("the secondary registry", sites.secondary),
        _gateway(settings, wishes, peer),
        peer("the processor's admin server", admin, lambda: open_session(admin, None)),
        peer("Envoy's admin interface", envoy_admin, lambda: open_session(envoy_admin, None)),
        issuer,
        tokens,
        # Before any check: it keeps this process busy for a moment, and checks measure times.
        yaml.safe_load(render(settings)) if compare else None,
    )
    try:
        yield installation
    finally:
        await tokens.close()
        everybody = (
            installation.primary,
            installation.secondary,
            installation.gateway,
            installation.admin,
            installation.envoy_admin,
        )
        await asyncio.gather(*(each.close() for each in (*everybody, *([issuer] if issuer else []))))


def _gateway(settings: Settings, wishes: Wishes, peer: Callable[..., Peer]) -> Peer:
    if wishes.url:
        return peer("the gateway", wishes.url, lambda: open_session(wishes.url, wishes.ca))
    envoy = settings.envoy
    if envoy.certificate is None:
        url = f"http://{envoy.listen.reached}"
        return peer("the gateway", url, lambda: open_session(url, None))
    certificate = envoy.certificate
    url = f"https://{envoy.listen.reached}"
    return peer("the gateway", url, lambda: _open_pinned(certificate))


async def _open_pinned(certificate: Path) -> aiohttp.ClientSession:
    """No certificate has the address of `envoy.listen` in it; but which one the listener has, we know.

    Raises RegistryError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(
            f"cannot use envoy.certificate {str(certificate)!r}: {error}; give --url, and --ca where it is needed"
        ) from error
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )
