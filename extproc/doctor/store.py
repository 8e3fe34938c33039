"""The store: it answers, is new enough, and is fast enough."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import AsyncGenerator
from typing import Final

from extproc.doctor.finding import Finding, fault, ok, unknown, warning
from extproc.doctor.installation import Installation
from extproc.doctor.redis_servers import OWN_NAME, info, open_servers
from extproc.evidence.fault import fault as fault_of_store
from extproc.evidence.redis import connect
from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.reference import Tag

LEAST: Final = (6, 2)
"""Redis's version: HRANDFIELD."""
_DECIDES: Final = 20
_TAG: Final = Tag("doctor")
_KEPT: Final = 10.0
"""Seconds that the name which is decided on stays in the store."""


async def store(at: Installation) -> AsyncGenerator[Finding, None]:
    """Ask it as a request does, and each server who it is."""
    settings = at.settings.store
    if settings.url == "memory://":
        yield ok(
            "kind",
            "memory://: evidence is in the one process that serves; each restart begins with none, and forgets which "
            "content was deleted at the primary (Redis keeps both)",
        )
        return
    try:
        # As a process that serves would, but what is asked about is gone soon.
        opened = connect(settings.model_copy(update={"name_ttl": _KEPT}), absent_ttl=1.0)
        try:
            median = await _median(opened)
        finally:
            await opened.close()
        yield judged_latency(median, settings.budget, settings.public_url)
        async with open_servers(at.settings) as servers:
            for server in servers:
                told = await info(server, "server")
                yield judged_version(server.name, None if told is None else told.get("redis_version"))
    except StoreUnavailable as error:
        text, _, remedy = fault_of_store(error, settings.public_url).rpartition("; ")
        yield fault("answer", text, remedy)


def judged_latency(median: float, budget: float, url: str) -> Finding:
    """Both in seconds."""
    text = f"{url} decides in {median * 1000:.1f} ms (median of {_DECIDES}); a request waits {budget * 1000:g} ms"
    remedy = "put it nearer, or raise store.budget, and envoy.message_timeout above two of it"
    if median > budget:
        return fault("latency", f"{text}: most requests go to the primary", remedy)
    if median > budget / 2:
        return warning("latency", f"{text}: the slower ones go to the primary", remedy)
    return ok("latency", text)


def judged_version(server: str, version: str | None) -> Finding:
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    if numbers is None:
        return unknown(
            "version",
            f"{server} does not tell us its version",
            f"allow the user +info, or see by hand that it is {'.'.join(map(str, LEAST))} or later",
        )
    if (int(numbers[1]), int(numbers[2])) < LEAST:
        return fault(
            "version",
            f"{server} is Redis {version}: scripts here need {'.'.join(map(str, LEAST))} or later",
            "upgrade it",
        )
    return ok("version", f"{server} is Redis {version}")


async def _median(opened: Store) -> float:
    """Seconds. Raises StoreUnavailable."""
    await opened.decide(OWN_NAME, _TAG)  # it may have to connect, and to be given the script
    taken: list[float] = []
    for _ in range(_DECIDES):
        began = time.perf_counter()
        await opened.decide(OWN_NAME, _TAG)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
