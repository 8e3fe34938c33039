"""From the settings to the Redis that they name."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from extproc import settings
from extproc.evidence.connections import Local, Plain, Prompt
from extproc.evidence.reach import Reach
from extproc.evidence.redis_cluster import ClusterRedis
from extproc.evidence.redis_sentinel import SentinelRedis
from extproc.evidence.redis_single import SingleRedis
from extproc.evidence.store import StoreUnavailable
from extproc.settings.store_url import Kind

PATIENCE: Final = 1.0
"""Seconds for a connection, and for an answer outside of requests; a request's budget is its caller's."""
_NO_PEM: Final = {
    "ca": "no certificate in PEM",
    "certificate": "no certificate in PEM",
    "private_key": "no private key in PEM, or not that of store.certificate",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """How servers are verified, and how we show who we are. Files are read for each connection: they get renewed."""

    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one): a file cannot be read or used."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.private_key)
        return context


class Encrypted(Plain):
    """redis-py's own trusts the system's authorities beside the one given."""

    def __init__(self, *, tls: Tls, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._tls.context()}


def dial(store: settings.Store, *, settling: float = 0.0) -> Reach:
    """The Redis that `store.url` names. Connects when first used.

    `settling`: seconds after a change of masters for which their answers are not believed.
    Raises StoreUnavailable when a file cannot be read or used.
    """
    where, name = store.where, store.public_url
    data = _options(name, store, _secret(name, store.password_file) or where.password or None)
    data |= {"username": where.username or store.username or None, "db": where.db}

    def server(host: str, port: int) -> SingleRedis:
        shown = name if where.kind is Kind.SINGLE else f"{name}: {host}:{port}"
        return _server(data | {"host": host, "port": port}, shown)

    hosts = [(endpoint.host, endpoint.port) for endpoint in where.hosts]
    if where.kind is Kind.CLUSTER:
        return ClusterRedis(server, hosts, name, settling=settling, failures=store.breaker_failures)
    if where.kind is Kind.SENTINEL:
        secret = _secret(name, store.sentinel_password_file)
        asked = _options(name, store, secret) | {"username": store.sentinel_username or None}
        sentinels = [
            _server(asked | {"host": host, "port": port}, f"{name}: sentinel {host}:{port}") for host, port in hosts
        ]
        return SentinelRedis(server, sentinels, where.master, name, settling=settling)
    if where.path:
        return _server(data | {"path": where.path}, name)
    return server(*hosts[0])


def _secret(name: str, file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise StoreUnavailable(f"{name}: cannot read the password file {str(file)!r}: {reason}") from error


def _options(name: str, store: settings.Store, password: str | None) -> dict[str, Any]:
    """What all connections have in common."""
    options: dict[str, Any] = {"password": password}
    if store.where.tls:
        options["tls"] = tls = Tls(store.ca, store.certificate, store.private_key)
        _check(name, tls)
    return options


def _check(name: str, tls: Tls) -> None:
    """A file that cannot be used must show now. Raises StoreUnavailable, naming the setting and the file."""
    certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for setting, file in (("ca", tls.ca), ("certificate", tls.certificate), ("private_key", tls.private_key)):
        if file is None:
            continue
        try:
            file.read_bytes()
            if setting == "private_key":
                tls.context()
            else:
                certificates.load_verify_locations(file)
        except OSError as error:
            reason = _NO_PEM[setting] if isinstance(error, ssl.SSLError) else error.strerror
            raise StoreUnavailable(f"{name}: cannot use store.{setting} {str(file)!r}: {reason}") from error


def _server(options: dict[str, Any], name: str) -> SingleRedis:
    kind: type[Prompt] = Plain
    if "path" in options:
        kind = Local
    elif "tls" in options:
        kind = Encrypted
    make = partial(
        kind,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
        # RESP2, no CLIENT SETINFO: a new connection costs no round trip of its own without AUTH and SELECT.
        protocol=2,
        driver_info=None,
        decode_responses=False,
        **options,
    )
    return SingleRedis(make, name, patience=PATIENCE)
