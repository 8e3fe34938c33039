"""What Redis keeps: a lost note of a deletion means that deleted content may be served by digest (promise P6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final

from extproc.doctor.finding import Finding, fault, ok, unknown, warning
from extproc.doctor.installation import Installation
from extproc.doctor.redis_servers import NotRedis, info, open_servers, setting
from extproc.evidence.reach import Reach
from extproc.evidence.store import StoreUnavailable
from extproc.settings.store_url import Kind

_MAY_ASK: Final = (
    "allow the user +info and +config|get for this, or look at it where the service is managed: appendonly yes, "
    "maxmemory-policy noeviction or volatile-*"
)
_LOST: Final = "which content was deleted at the primary"


async def store_durability(at: Installation) -> AsyncGenerator[Finding, None]:
    """Each master by itself."""
    try:
        async with open_servers(at.settings) as servers:
            for server in servers:
                for finding in await _of(server, at.settings.store.where.kind):
                    yield finding
    except NotRedis:
        yield ok("persistence", "memory://: nothing is kept, as the check of the store says")
    except StoreUnavailable as error:
        yield unknown("persistence", f"the store cannot be asked: {error}", "see the other findings about it")


async def _of(server: Reach, kind: Kind) -> list[Finding]:
    """Raises StoreUnavailable."""
    name = server.name
    told: Mapping[str, str] = {**(await info(server, "persistence") or {}), **(await info(server, "memory") or {})}
    aof = told.get("aof_enabled")
    if aof is None:
        aof = {"yes": "1", "no": "0"}.get(await setting(server, "appendonly") or "")
    fsync = await setting(server, "appendfsync") if aof == "1" else None
    save = await setting(server, "save") if aof == "0" else None
    policy = told.get("maxmemory_policy") or await setting(server, "maxmemory-policy")
    findings = [*judged_persistence(name, aof, fsync, save), *judged_policy(name, policy)]
    if kind is Kind.SENTINEL:
        findings += judged_replicas(name, await setting(server, "min-replicas-to-write"))
    return findings


def judged_persistence(name: str, aof: str | None, fsync: str | None, save: str | None) -> Iterator[Finding]:
    """`aof`: "1" or "0"; None where it is not told. `fsync`, `save`: the settings of that name."""
    if aof == "1" and fsync == "no":
        yield warning(
            "persistence",
            f"{name} has appendonly, but appendfsync no: a crash of its machine loses half a minute",
            "set appendfsync everysec",
        )
    elif aof == "1":
        yield ok("persistence", f"{name} has appendonly")
    elif aof is None:
        yield unknown("persistence", f"{name} does not tell us whether it has appendonly", _MAY_ASK)
    else:
        how = f"only saves now and then ({save})" if save else "keeps nothing on disk" if save == "" else "has none"
        yield warning(
            "persistence",
            f"{name} has no appendonly and {how}: started anew, it has forgotten {_LOST}",
            "set appendonly yes",
        )


def judged_policy(name: str, policy: str | None) -> Iterator[Finding]:
    if not policy:
        yield unknown("eviction", f"{name} does not tell us its maxmemory-policy", _MAY_ASK)
    elif policy == "noeviction" or policy.startswith("volatile-"):
        yield ok("eviction", f"{name} has maxmemory-policy {policy}")
    else:
        yield fault(
            "eviction",
            f"{name} has maxmemory-policy {policy}: when memory is short, it forgets {_LOST}",
            "set maxmemory-policy noeviction",
        )


def judged_replicas(name: str, least: str | None) -> Iterator[Finding]:
    """`least`: min-replicas-to-write, under Sentinel."""
    if least is None:
        yield unknown("replicas", f"{name} does not tell us min-replicas-to-write", _MAY_ASK)
    elif least == "0":
        yield warning(
            "replicas",
            f"{name} has min-replicas-to-write 0: cut off from its Sentinels, it lives on beside the new master",
            "with two replicas or more, set min-replicas-to-write 1 and min-replicas-max-lag 2",
        )
    else:
        yield ok("replicas", f"{name} has min-replicas-to-write {least}")
