"""HTTP connections of ours to somebody else's server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from extproc.registry.error import RegistryError


async def open_session(
    url: str, ca: Path | None, traces: Sequence[aiohttp.TraceConfig] = ()
) -> aiohttp.ClientSession:
    """Connections to the host of `url`, not yet made. Callers bound how many are in use; cookies have no place here.

    `ca`: certificates in PEM to trust instead of the system's; `traces` hear of each request.
    Raises RegistryError when `ca` cannot be used.
    """
    # Reading the system's authorities takes a tenth of a second, which a serving worker's loop does not have.
    tls = await asyncio.to_thread(_tls, ca) if url.startswith("https://") else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=list(traces),
    )


def _tls(ca: Path | None) -> ssl.SSLContext:
    """As a client: the authorities of `ca`, or the system's."""
    if ca is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise RegistryError(f"cannot use the CA file {str(ca)!r}: {error}; give certificates as PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
