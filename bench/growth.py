"""The store as it grows: bytes for each digest, and what a look-up takes, from ten thousand digests to ten million.

Everything is written as in production (store_memory.py). At each size, as many look-ups of digests chosen at random
are made one after another: the median of their durations, and what Redis itself says that the script took.

    .venv/bin/python -m bench.growth [--sizes 10000 100000 1000000 10000000] [--per-name 1000] [--lookups 5000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any, Final

from redis.asyncio import Redis

from bench.store_memory import digests_of, fill, name_of, server, used_memory
from extproc import settings
from extproc.evidence.model import DigestState
from extproc.evidence.redis import connect

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)


@dataclass(frozen=True)
class Size:
    """The store with so many digests."""

    digests: int
    bytes_per_digest: float
    lookup_us: float
    """Of one look-up, from asking to the answer, nothing else under way: the median."""
    redis_us: float
    """Of it in Redis: the mean that INFO commandstats has for EVALSHA."""


async def measured(sizes: Sequence[int], *, per_name: int, lookups: int, say: Callable[[str], None]) -> list[Size]:
    """Raises RuntimeError when a digest that was told is not there."""
    found = []
    with server() as url:
        store = connect(settings.Store(url=url), absent_ttl=5.0)
        async with aclosing(Redis.from_url(url)) as client:

            async def tell(number: int) -> None:
                digests = digests_of(number, per_name)
                await store.decide(name_of(number), digests[0])
                await store.secondary_has(name_of(number), digests)

            await tell(0)
            await client.flushall()  # the scripts and the connections are not evidence
            before, names = await used_memory(client), 0
            for size in sizes:
                first, names = names, size // per_name
                say(f"store: {size:,} digests")
                await fill("digests", names - first, lambda number, first=first: tell(first + number))  # type: ignore[misc]
                memory = await used_memory(client) - before
                await client.config_resetstat()
                chance, took = random.Random(size), []
                for _ in range(lookups):
                    number = chance.randrange(names)
                    digest = digests_of(number, per_name)[chance.randrange(per_name)]
                    begun = time.perf_counter()
                    evidence = await store.decide(name_of(number), digest)
                    took.append(time.perf_counter() - begun)
                    if evidence.digest is not DigestState.PRESENT:
                        raise RuntimeError(f"{digest} of {name_of(number)} was told, and is {evidence.digest.value}")
                told = await client.info("commandstats")
                redis = float(told["cmdstat_evalsha"]["usec_per_call"])
                found.append(Size(size, memory / (names * per_name), statistics.median(took) * 1e6, redis))
        await store.close()
    return found


def summary(found: Sequence[Size]) -> dict[str, Any]:
    """What bench.json has of it."""
    return {
        "store_bytes_per_digest": found[-1].bytes_per_digest,
        "lookup_us": {str(size.digests): size.lookup_us for size in found},
        "lookup_growth": found[-1].lookup_us / found[0].lookup_us,
        "store_sizes": [asdict(size) for size in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--per-name", type=int, default=1000)
    parser.add_argument("--lookups", type=int, default=5000)
    chosen = parser.parse_args()
    found = asyncio.run(
        measured(
            chosen.sizes,
            per_name=chosen.per_name,
            lookups=chosen.lookups,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    )
    json.dump(summary(found), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
