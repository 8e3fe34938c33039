"""`store.url`, parsed once: what kind of store it is, and where.

| form | store |
|---|---|
| `memory://` | in the process |
| `redis://[user[:password]@]host[:port][/db]` | one server; `rediss://` with TLS |
| `unix://[user[:password]@]/path[?db=1]` | one server, by its socket |
| `redis+sentinel://[…@]host[:port][,host…]/master[/db]` | the master that these Sentinels name; `rediss+…` with TLS |
| `redis+cluster://[…@]host[:port][,host…]` | the cluster that these servers belong to; `rediss+…` with TLS |

User and password are percent-encoded, and are those of the data servers. No message shows them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote

from extproc.settings.section import Endpoint, public_url

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+")
_MASTER: Final = re.compile(r"[A-Za-z0-9._-]+")
_LARGEST_DB: Final = 2**31 - 1


class Kind(Enum):
    """What is at the URL."""

    MEMORY = "memory"
    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_SCHEMES: Final = {
    "memory": (Kind.MEMORY, False),
    "unix": (Kind.SINGLE, False),
    "redis": (Kind.SINGLE, False),
    "rediss": (Kind.SINGLE, True),
    "redis+sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}
_FORMS: Final = (
    "memory://, redis://host:port/db, unix:///path, redis+sentinel://host,host/master or redis+cluster://host,host "
    "(rediss… with TLS)"
)


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A URL that can be used, in parts."""

    kind: Kind
    tls: bool = False
    hosts: tuple[Endpoint, ...] = ()
    """Of the server, the Sentinels, or some servers of the cluster; empty for a socket."""
    path: str = ""
    """Of the socket; empty where there are hosts."""
    db: int = 0
    master: str = ""
    """The name that the Sentinels know it by."""
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Raises ValueError: one sentence that names the URL without its secrets."""
        try:
            return _parse(url)
        except _Wrong as error:
            raise ValueError(f"url {public_url(url)!r}{error}") from None


class _Wrong(Exception):
    """The end of a sentence that begins with the URL."""


def _parse(url: str) -> StoreUrl:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise _Wrong(f" is not {_FORMS}")
    kind, tls = _SCHEMES[scheme]
    if kind is Kind.MEMORY:
        if rest:
            raise _Wrong(": nothing may follow memory://")
        return StoreUrl(kind)
    address, _, query = rest.partition("?")
    if "@" in query:
        raise _Wrong(": a '?' in a user or password is written %3F, an '@' in an option %40")
    credentials, _, address = address.rpartition("@")
    user, _, password = credentials.partition(":")
    options = _options(query)
    if scheme == "unix":
        if not address.startswith("/"):
            raise _Wrong(": the path of a socket begins with '/', as in unix:///run/redis.sock")
        where = StoreUrl(kind, path=unquote(address), db=_db(options.get("db", "0")))
    else:
        where = _by_hosts(kind, tls, address, options)
    return _with_user(where, unquote(user), unquote(password))


def _with_user(where: StoreUrl, user: str, password: str) -> StoreUrl:
    return StoreUrl(where.kind, where.tls, where.hosts, where.path, where.db, where.master, user, password)


def _by_hosts(kind: Kind, tls: bool, address: str, options: dict[str, str]) -> StoreUrl:
    authority, *parts = address.split("/")
    port = SENTINEL_PORT if kind is Kind.SENTINEL else REDIS_PORT
    hosts = tuple(_endpoint(host, port) for host in authority.split(","))
    if kind is Kind.SINGLE and len(hosts) > 1:
        raise _Wrong(": several hosts are for redis+sentinel:// or redis+cluster://")
    if parts and not parts[-1]:
        parts.pop()
    master = ""
    if kind is Kind.SENTINEL:
        if not parts or not _MASTER.fullmatch(parts[0]):
            raise _Wrong(": the master's name is missing, as in redis+sentinel://host:26379/mymaster")
        master = parts.pop(0)
    if "db" in options:
        parts.append(options["db"])
    if len(parts) > 1:
        raise _Wrong(f" ends with more than a database: {'/'.join(parts)!r}")
    db = _db(parts[0]) if parts else 0
    if kind is Kind.CLUSTER and db:
        raise _Wrong(f": a cluster has database 0 only, not {db}")
    return StoreUrl(kind, tls, hosts, db=db, master=master)


def _endpoint(text: str, port: int) -> Endpoint:
    if not text or text.startswith(":"):
        raise _Wrong(": a host is missing")
    if ":" not in text.rpartition("]")[2]:
        text = f"{text}:{port}"
    try:
        endpoint = Endpoint.parse(text)
    except ValueError as error:
        raise _Wrong(f": {error}") from None
    if not (_HOST.fullmatch(endpoint.host) or _is_ip(endpoint.host)):
        raise _Wrong(f": {endpoint.host!r} is not a host")
    return endpoint


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _db(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:11]) <= _LARGEST_DB):
        raise _Wrong(f": database {text!r} is not a number from 0 on")
    return int(text)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for option in query.split("&") if query else ():
        name, separator, value = option.partition("=")
        if name != "db" or not separator or name in options:
            shown = repr(name) if separator else "a word without '='"
            raise _Wrong(f": option {shown} is not known; the only one is db, once (passwords: store.password_file)")
        options[name] = value
    return options
