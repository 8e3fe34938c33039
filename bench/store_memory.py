"""How much memory evidence takes in Redis: fills a server of its own through the store's operations and asks it.

Everything is written as in production: `decide` once for each name, `secondary_has` for its digests (present), then
`learn_all` for leases on tags of each name, which is a second figure. Some names are read back by `inspect` and must
hold exactly what was told. The server has its default settings, but no snapshots; figures are `used_memory` of
INFO, which is what Redis counts against `maxmemory`.

    .venv/bin/python bench/store_memory.py [--digests 10000000] [--per-name 1000] [--limit 1.2e9] [--json FILE]

Ends with 1 when the digests alone take more than the limit, or a name read back is not what was told.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from extproc import settings
from extproc.evidence.model import DigestState, Observation
from extproc.evidence.redis import RedisStore, connect
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag

HOST = "127.0.0.1"
MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
AT_ONCE = 16
"""Names that are filled at once."""
READ_BACK = 20
READY_WITHIN = 20.0


@dataclass(frozen=True)
class Figure:
    """One layout, measured."""

    layout: str
    names: int
    digests: int
    leases: int
    before: int
    """Bytes in use."""
    after: int
    seconds: float
    """To write what came on top of the layout before."""

    @property
    def difference(self) -> int:
        return self.after - self.before

    @property
    def bytes_per_digest(self) -> float:
        return self.difference / self.digests


@contextmanager
def server() -> Iterator[str]:
    """A redis-server on a free port, gone afterwards with its folder. Gives its URL."""
    with tempfile.TemporaryDirectory(prefix="store-memory-") as folder:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        command = ["redis-server", "--bind", HOST, "--port", str(port), "--dir", folder, "--save", ""]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_until_ready(process, port, Path(folder) / "log")
            yield f"redis://{HOST}:{port}/0"
        finally:
            process.terminate()
            process.wait(READY_WITHIN)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection((HOST, port), 1.0) as peer:
                peer.sendall(b"PING\r\n")
                if peer.recv(64).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"redis-server did not start: {log.read_text(errors='replace')[-500:]}")


def name_of(number: int) -> Name:
    """Of the length that names have: 30 characters."""
    return Name(f"group-{number % 97:02}/project-{number // 97:04}/app-{number:06}")


def digests_of(number: int, count: int) -> list[Digest]:
    return [Digest("sha256:" + hashlib.sha256(b"%d %d" % (number, each)).hexdigest()) for each in range(count)]


def tags_of(count: int) -> list[Tag]:
    return [Tag(f"v1.{each}.0") for each in range(count)]


async def fill(what: str, names: int, one: Callable[[int], Awaitable[None]]) -> float:
    """Do `one` for each number of a name; the seconds it took. Tells of its progress on stderr."""
    begun = time.monotonic()
    left = iter(range(names))
    done = 0

    async def worker() -> None:
        nonlocal done
        for number in left:
            await one(number)
            done += 1
            if done % max(names // 10, 1) == 0:
                rate = done / (time.monotonic() - begun)
                print(f"{what}: {done} of {names} names, {rate:.0f} names/s", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    return time.monotonic() - begun


async def used_memory(client: Redis) -> int:
    return int((await client.info("memory"))["used_memory"])


async def measure(url: str, names: int, per_name: int, leases: int) -> tuple[str, list[Figure], list[str]]:
    """The server's version, a figure for each layout, and what was wrong with names read back."""
    store = connect(settings.Store(url=url), absent_ttl=5.0)
    tags = tags_of(leases)

    async def tell(number: int) -> None:
        name = name_of(number)
        digests = digests_of(number, per_name)
        await store.decide(name, digests[0])
        await store.secondary_has(name, digests)

    async def lease(number: int) -> None:
        name = name_of(number)
        digests = digests_of(number, min(leases, per_name))
        snapshot = (await store.decide(name, digests[0])).snapshot
        seen = [
            Observation(digests[each % len(digests)], tag=tag, media_type=MEDIA_TYPE) for each, tag in enumerate(tags)
        ]
        if not await store.learn_all(name, snapshot, seen):
            raise AssertionError(f"{name}: nobody else writes here, and yet its epoch changed")

    async with aclosing(Redis.from_url(url)) as client:
        version = str((await client.info("server"))["redis_version"])
        # The scripts and the connections are not evidence.
        await tell(names)
        await client.flushall()
        before = await used_memory(client)
        seconds = await fill("digests", names, tell)
        told = Figure("digests", names, names * per_name, 0, before, await used_memory(client), seconds)
        wrong = await read_back(store, names, per_name, [])
        figures = [told]
        if leases:
            seconds = await fill("leases", names, lease)
            after = await used_memory(client)
            figures.append(Figure("with leases", names, told.digests, names * leases, before, after, seconds))
            wrong += await read_back(store, names, per_name, tags)
    await store.close()
    return version, figures, wrong


async def read_back(store: RedisStore, names: int, per_name: int, tags: list[Tag]) -> list[str]:
    """What of some names is not as told."""
    wrong = []
    for number in random.Random(7).sample(range(names), min(READ_BACK, names)):
        digests = digests_of(number, per_name)
        record = await store.inspect(name_of(number))
        if {digest: known.state for digest, known in record.digests.items()} != dict.fromkeys(
            digests, DigestState.PRESENT
        ):
            wrong.append(f"{record.name}: {len(record.digests)} digests are not the {per_name} told to be present")
        if {tag: lease.digest for tag, lease in record.leases.items()} != {
            tag: digests[each % per_name] for each, tag in enumerate(tags)
        }:
            wrong.append(f"{record.name}: {len(record.leases)} leases are not the {len(tags)} learned")
    return wrong


def show(version: str, figures: list[Figure], limit: float) -> None:
    table = Table(title=f"Evidence in Redis {version}, used_memory")
    table.add_column("layout")
    for column in ("names", "digests", "leases", "before", "after", "difference", "bytes/digest", "seconds"):
        table.add_column(column, justify="right")
    for each in figures:
        counts = (each.names, each.digests, each.leases, each.before, each.after, each.difference)
        table.add_row(
            each.layout, *(f"{count:,}" for count in counts), f"{each.bytes_per_digest:.1f}", f"{each.seconds:.0f}"
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"limit for digests alone: {limit:,.0f} bytes", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--digests", type=int, default=10_000_000, help="in all; default 10,000,000")
    parser.add_argument("--per-name", type=int, default=1000, help="digests of one name; default 1,000")
    parser.add_argument("--leases", type=int, default=50, help="tags of one name in the second layout; 0: none")
    parser.add_argument("--limit", type=float, default=1.2e9, help="bytes for the digests alone; default 1.2e9")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args()
    names = chosen.digests // chosen.per_name
    if names < 1:
        parser.error(f"--digests {chosen.digests} is less than one name of --per-name {chosen.per_name}")
    with server() as url:
        try:
            version, figures, wrong = asyncio.run(measure(url, names, chosen.per_name, chosen.leases))
        except StoreUnavailable as error:
            raise SystemExit(f"the store failed: {error}") from error
    show(version, figures, chosen.limit)
    over = figures[0].difference > chosen.limit
    if chosen.json is not None:
        rows = [
            {**asdict(each), "difference": each.difference, "bytes_per_digest": each.bytes_per_digest}
            for each in figures
        ]
        result = {"redis_version": version, "limit": chosen.limit, "over": over, "wrong": wrong, "figures": rows}
        chosen.json.write_text(json.dumps(result, indent=2) + "\n")
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    if over:
        print(f"error: {figures[0].difference:,} bytes are more than the limit", file=sys.stderr)
    return int(over or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
