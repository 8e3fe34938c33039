"""All sides, in turns, in one run; each figure is the median of its rounds."""

from __future__ import annotations

import asyncio
import statistics
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.exchange.cpu import cpu_seconds
from bench.exchange.edge import registry
from bench.exchange.load import wrk
from bench.exchange.request import Kind, Requests
from bench.exchange.side import FORMS, Side, ours, until_steered, without, yardstick
from tests.support.otlp_receiver import OtlpReceiver

CONNECTIONS: Final = (1, 32)
YARDSTICKS: Final = ("go_echo", "noop_asyncio", "noop_uvloop")


@dataclass
class Figures:
    """Of one side, kind of request and number of connections: one value for each round."""

    cpu: list[float] = field(default_factory=list)
    """Microseconds of the processor for each request."""
    envoy: list[float] = field(default_factory=list)
    """Likewise of Envoy."""
    redis: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    """Milliseconds."""
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    """Requests a second."""


Turn = tuple[Side, Kind, int]
Measured = dict[tuple[str, Kind, int], Figures]


async def measured(folder: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> Measured:
    """Raises RuntimeError when a request fails, or is refused that should not be."""
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(OtlpReceiver())
        port = collector.grpc_port
        names = ("registry", "none", *YARDSTICKS, *FORMS)
        at = {name: made(folder / name) for name in names}
        url = await stack.enter_async_context(registry(at["registry"]))
        opening = [
            without(at["none"], url, port),
            *(yardstick(name, at[name], url, port) for name in YARDSTICKS),
            *(ours(form, at[form], url, port) for form in FORMS),
        ]
        sides = [await stack.enter_async_context(side) for side in opening]
        turns = [
            (side, kind, connections)
            for kind in Kind
            for side in sides
            if kind is Kind.DIGEST or side.name in FORMS
            for connections in CONNECTIONS
        ]
        scripts = {kind: folder / f"{kind.value}.lua" for kind in Kind}
        for kind, script in scripts.items():
            script.write_text(Requests(kind).script())
        for side in sides:
            if side.processor:
                await until_steered(side)
        for turn in turns:  # what is to be known is learned, and caches are full
            await _turn(turn, scripts[turn[1]], seconds, Figures())
        found: Measured = defaultdict(Figures)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for turn in turns if number % 2 else reversed(turns):
                side, kind, connections = turn
                await _turn(turn, scripts[kind], seconds, found[side.name, kind, connections])
        if not collector.spans():
            raise RuntimeError("no span came: nothing was traced")
        return found


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _turn(turn: Turn, script: Path, seconds: float, figures: Figures) -> None:
    side, kind, connections = turn
    before = side.cpu(), cpu_seconds([side.envoy.pid]), cpu_seconds([side.redis] if side.redis else [])
    found = await wrk(side.envoy.url, script, connections=connections, seconds=seconds)
    after = side.cpu(), cpu_seconds([side.envoy.pid]), cpu_seconds([side.redis] if side.redis else [])
    refused = found.refused == found.requests if kind is Kind.TOKEN else found.refused == 0
    if found.broken or not refused or not found.requests:
        raise RuntimeError(f"{side.name}, {kind.value}: {found}")
    processor, envoy, redis = ((now - then) / found.requests * 1e6 for now, then in zip(after, before, strict=True))
    figures.cpu.append(processor)
    figures.envoy.append(envoy)
    figures.redis.append(redis)
    figures.p50.append(found.p50 * 1e3)
    figures.p99.append(found.p99 * 1e3)
    figures.rate.append(found.requests / found.seconds)


def summary(found: Measured) -> dict[str, Any]:
    """What bench.json has of it: medians. Latencies are added ones, by the difference in each round to the side
    without a processor."""
    slow, quick = CONNECTIONS[0], CONNECTIONS[-1]
    noop = min(
        (name for name in YARDSTICKS if name.startswith("noop")),
        key=lambda name: statistics.median(found[name, Kind.DIGEST, quick].cpu),
    )
    words = {"go_echo": "go_echo", noop: "noop_grpcio"}
    named = {
        words.get(name, f"{name}.{kind.value}"): (name, kind) for name, kind, _ in found if name in {*words, *FORMS}
    }

    def added(what: str, connections: int) -> dict[str, float]:
        base = getattr(found["none", Kind.DIGEST, connections], what)
        return {
            word: statistics.median(
                one - other for one, other in zip(getattr(found[name, kind, connections], what), base, strict=True)
            )
            for word, (name, kind) in named.items()
        }

    def median(what: str, connections: int) -> dict[str, float]:
        return {
            word: statistics.median(getattr(found[name, kind, connections], what))
            for word, (name, kind) in named.items()
        }

    return {
        "cpu_us": median("cpu", quick),
        "cpu_us_1": median("cpu", slow),
        "redis_cpu_us": median("redis", quick),
        "envoy_cpu_us": median("envoy", quick) | {"none": statistics.median(found["none", Kind.DIGEST, quick].envoy)},
        "added_p50_ms": added("p50", slow),
        "added_p99_ms": added("p99", slow),
        "added_p50_ms_32": added("p50", quick),
        "added_p99_ms_32": added("p99", quick),
        "noop_loop": noop.removeprefix("noop_"),
    }


def run(folder: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, and give `summary`."""
    return summary(asyncio.run(measured(folder, rounds=rounds, seconds=seconds, say=say)))
