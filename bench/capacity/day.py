"""A day of all names: each name of the sample, weighted by what it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.capacity.books import Books
from bench.capacity.clock import Clock
from bench.capacity.popularity import sample
from bench.capacity.rig import memory_store, router, timed_redis
from bench.capacity.traffic import Bearer, Traffic
from bench.capacity.workload import Workload
from extproc.evidence.store import Store

BUDGET = 8000
"""Requests of a stratum."""


@dataclass(frozen=True)
class Day:
    """What a day of this workload comes to."""

    workload: Workload
    notifications: bool
    store: str
    """`redis` or `memory`."""
    books: Books
    names_simulated: int
    requests_simulated: int
    seconds: float
    """That it took."""


async def simulate(workload: Workload, *, notifications: bool, url: str | None = None, budget: int = BUDGET) -> Day:
    """On the Redis at `url`, which is empty; in memory without one. The books are the same."""
    clock = Clock()
    make: Callable[[], Store] = (lambda: memory_store(clock)) if url is None else (lambda: timed_redis(url, clock))
    store = make()
    bearer = Bearer()
    deciding = router(store, bearer, clock)
    books, simulated, begun = Books(), 0, time.monotonic()
    names = sample(workload, budget)
    try:
        for each in names:
            traffic = Traffic(
                workload,
                each,
                clock=clock,
                store=store,
                router=deciding,
                bearer=bearer,
                notifications=notifications,
            )
            own = await traffic.run()
            books.add(own, each.weight)
            simulated += round(own.requests)
    finally:
        await store.close()
    where = "memory" if url is None else "redis"
    return Day(workload, notifications, where, books, len(names), simulated, time.monotonic() - begun)
