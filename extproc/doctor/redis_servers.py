"""The Redis servers that hold evidence: each master, to be asked by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from extproc.evidence.reach import Reach
from extproc.evidence.redis_dial import dial
from extproc.evidence.store import StoreRefused, StoreUnavailable, StoreUnusable
from extproc.oci.reference import Name
from extproc.settings import Settings


class NotRedis(Exception):
    """Evidence is in the memory of the process that serves."""


OWN_NAME: Final = Name("geo-extproc/doctor")
"""What we ask the store about: nobody's repository."""


@asynccontextmanager
async def open_servers(settings: Settings) -> AsyncIterator[Sequence[Reach]]:
    """Closed afterwards. Raises NotRedis, StoreUnavailable."""
    if settings.store.url == "memory://":
        raise NotRedis
    reach = dial(settings.store)
    try:
        yield await reach.masters()
    finally:
        await reach.close()


async def info(server: Reach, section: str) -> Mapping[str, str] | None:
    """What INFO tells, by name; None where we may not ask. Raises StoreUnavailable."""
    try:
        (answer,) = await server.round_trip(("INFO", section))
    except (StoreRefused, StoreUnusable):
        return None
    if not isinstance(answer, bytes):
        return None
    lines = answer.decode(errors="replace").splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


async def setting(server: Reach, name: str) -> str | None:
    """What CONFIG GET tells; None where we may not ask, or it is not there. Raises StoreUnavailable."""
    try:
        (answer,) = await server.round_trip(("CONFIG", "GET", name))
    except (StoreRefused, StoreUnusable):
        return None
    if not isinstance(answer, list) or len(answer) < 2 or not isinstance(answer[1], bytes):
        return None
    return answer[1].decode(errors="replace")


async def time_of(server: Reach) -> float:
    """Seconds since the Unix epoch. Raises StoreUnavailable."""
    ((seconds, micros),) = await server.round_trip(("TIME",))
    try:
        return int(seconds) + int(micros) / 1e6
    except (TypeError, ValueError) as error:
        raise StoreUnavailable(f"{server.name}: an answer to TIME that cannot be read") from error
