"""python -m bench.capacity: simulate a day at a large site, and say what the gateway would do and need.

    .venv/bin/python -m bench.capacity [--part day] [--part store] [--names 1000 --names 10000] [--no-charts]

Tables go to standard output, the figures to build/capacity.json, charts to build/capacity/. With one `--part` alone
the other part's figures stay in the file as they were. What is simulated, and what it means: docs/capacity.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console

from bench.capacity import result as results
from bench.capacity.books import Books
from bench.capacity.cost import Bench
from bench.capacity.day import BUDGET, Day, simulate
from bench.capacity.fill import fill
from bench.capacity.result import Row
from bench.capacity.rig import redis_store
from bench.capacity.sizing import sizing
from bench.capacity.table import show
from bench.capacity.workload import Workload
from tests.support.redis_server import RedisServer

NAMES = (1_000, 10_000, 100_000, 1_000_000)
FINER = 8
"""Times the sample's budget, in the run that shows what a larger sample would change."""
BUILD = Path(__file__).resolve().parents[2] / "build"


async def days(names: list[int], *, redis: bool, budget: int, say: Callable[[str], None]) -> list[Row]:
    """For each number of names with notifications and without; then what other choices change.

    With `redis`, those with notifications run in Redis and in memory, and must come to the same.
    """
    found = []

    async def one(workload: Workload, *, notifications: bool, main: bool, url: str | None = None) -> Books:
        day = await simulate(workload, notifications=notifications, url=url, budget=budget)
        found.append({**results.day_row(day), "main": main})
        say(_told(day))
        return day.books

    for many in names:
        workload = Workload(many)
        if redis:
            with tempfile.TemporaryDirectory(prefix="geo-capacity-") as folder, RedisServer(Path(folder)) as server:
                kept = await one(workload, notifications=True, main=True, url=server.url)
            check = (await simulate(workload, notifications=True, budget=budget)).books
            if kept.at_primary != check.at_primary or kept.reasons != check.reasons:
                raise SystemExit(f"error: {many} names: Redis and memory do not decide alike")
        else:
            await one(workload, notifications=True, main=True)
        await one(workload, notifications=False, main=True)
    usual = Workload(sorted(names)[(len(names) - 1) // 2])
    finer = await simulate(usual, notifications=True, budget=FINER * budget)
    found.append({**results.day_row(finer), "main": False})
    say(_told(finer))
    others = (
        replace(usual, seed=2),
        replace(usual, seed=3),
        replace(usual, zipf=0.8),
        replace(usual, zipf=1.2),
        replace(usual, push_zipf=1.0),
        replace(usual, lag_median=10.0),
        replace(usual, lag_median=600.0),
    )
    for workload in others:
        await one(workload, notifications=True, main=False)
    return found


async def stores(
    names: list[int], day_of: dict[int, Row], *, exchanges: int, rounds: int, say: Callable[[str], None]
) -> list[Row]:
    """For each number of names a Redis with all of them: its memory, and what exchanges cost on it."""
    found = []
    for many in names:
        workload = Workload(many)
        with tempfile.TemporaryDirectory(prefix="geo-capacity-") as folder, RedisServer(Path(folder)) as server:
            store, client = redis_store(server.url), Redis.from_url(server.url)
            memory = await fill(store, client, workload, say)
            costs = await Bench(workload, store, client, exchanges=exchanges, rounds=rounds).costs()
            await store.close()
            await client.aclose()
        sized = sizing(workload, Books.of_json(day_of[many]), costs, memory)
        say(f"{many} names: {sized.cpu * 1e6:.0f} µs a request, and {sized.redis_cpu * 1e6:.0f} µs of Redis")
        found.append(results.store_row(memory, costs, sized))
    return found


def _told(day: Day) -> str:
    return (
        f"{day.workload.names} names, {'with' if day.notifications else 'without'} notifications, in {day.store}: "
        f"{day.books.local_share:.1%} of reads here, {day.requests_simulated} requests in {day.seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--part", action="append", choices=("day", "store"), help="only this one; default: both")
    parser.add_argument("--names", action="append", type=int, help=f"default {', '.join(map(str, NAMES))}")
    parser.add_argument("--store", choices=("redis", "memory"), default="redis", help="of the day; default redis")
    parser.add_argument("--budget", type=int, default=BUDGET, help=f"requests of a stratum; default {BUDGET}")
    parser.add_argument("--exchanges", type=int, default=4000, help="of a round, in the costs; default 4000")
    parser.add_argument("--rounds", type=int, default=5, help="of each cost; default 5")
    parser.add_argument("--no-charts", action="store_true", help="without matplotlib")
    chosen = parser.parse_args()
    parts, names = chosen.part or ["day", "store"], chosen.names or list(NAMES)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    file = BUILD / "capacity.json"
    result = {**results.read(file), "machine": results.machine()}
    if "day" in parts:
        result["days"] = asyncio.run(days(names, redis=chosen.store == "redis", budget=chosen.budget, say=say))
        results.write(file, result)
    if "store" in parts:
        day_of = {row["names"]: row for row in result.get("days", []) if row["main"] and row["notifications"]}
        unknown = sorted(set(names) - set(day_of))
        if unknown:
            parser.error(f"{file} has no day of {unknown} names, whose shares are needed: run --part day first")
        result["stores"] = asyncio.run(
            stores(names, day_of, exchanges=chosen.exchanges, rounds=chosen.rounds, say=say)
        )
        results.write(file, result)
    show(Console(width=180), result)
    if not chosen.no_charts:
        from bench.capacity.charts import draw  # noqa: PLC0415 - matplotlib is needed by nobody else

        for drawn in draw(result, BUILD / "capacity"):
            say(f"drawn: {drawn}")


if __name__ == "__main__":
    main()
