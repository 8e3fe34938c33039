"""The whole of it: load, trouble, and samples, until the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.exchange.edge import registry
from bench.exchange.load import wrk
from bench.exchange.side import ours, until_steered
from bench.soak import mix
from bench.soak.sample import Sample
from bench.soak.trouble import rude, standing_still
from tests.support.otlp_receiver import OtlpReceiver

CONNECTIONS: Final = 32
_SETTINGS: Final = "store.name_ttl = 60\n"
"""Seconds: what Redis holds is to come to an end, too."""
_CHUNK: Final = 60.0
_SAMPLES: Final = 720


@dataclass
class Soaked:
    """What was seen."""

    samples: list[tuple[float, Sample]] = field(default_factory=list)
    """Of the worker, and seconds since the beginning."""
    envoy: list[tuple[float, Sample]] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    """By 401, which those without a token are to be, and whatever else has a status of 400 or more."""
    broken: int = 0
    """Without an answer."""


async def soaked(folder: Path, seconds: float, say: Callable[[str], None]) -> Soaked:
    """Raises RuntimeError when the load cannot be made, OSError when a process is gone."""
    async with AsyncExitStack() as stack:
        collector = await stack.enter_async_context(OtlpReceiver())
        for name in ("registry", "ours"):
            (folder / name).mkdir()
        url = await stack.enter_async_context(registry(folder / "registry"))
        side = await stack.enter_async_context(
            ours("fastlane", folder / "ours", url, collector.grpc_port, more=_SETTINGS)
        )
        await until_steered(side)
        if side.redis is None:
            raise AssertionError("ours has a Redis")
        (socket,) = (folder / "ours" / "run").glob("*.sock")
        say(f"{mix.NAMES} tokens are made")
        (folder / "tokens").write_text(await asyncio.to_thread(mix.tokens, seconds))
        (folder / "mix.lua").write_text(mix.script(str(folder / "tokens")))
        found = Soaked()
        begun = time.monotonic()
        beside = [
            asyncio.create_task(rude(side.envoy.url, socket)),
            asyncio.create_task(standing_still(side.redis)),
            asyncio.create_task(_sample(side.processor[0], side.envoy.pid, found, max(seconds / _SAMPLES, 0.5))),
        ]
        try:
            while (left := seconds - (time.monotonic() - begun)) >= 1:
                heard = await wrk(
                    side.envoy.url, folder / "mix.lua", connections=CONNECTIONS, seconds=round(min(left, _CHUNK))
                )
                found.requests += heard.requests
                found.refused += heard.refused
                found.broken += heard.broken
                say(_line(found, time.monotonic() - begun))
                for task in beside:
                    if task.done():
                        task.result()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            # The collector keeps what it is sent, and is no part of this.
        return found


async def _sample(worker: int, envoy: int, found: Soaked, every: float) -> None:
    begun = time.monotonic()
    while True:
        now = time.monotonic() - begun
        found.samples.append((now, Sample.of(worker)))
        found.envoy.append((now, Sample.of(envoy)))
        await asyncio.sleep(every)


def _line(found: Soaked, seconds: float) -> str:
    worker, envoy = found.samples[-1][1], found.envoy[-1][1]
    return (
        f"{seconds:6.0f} s  {found.requests:>10,} requests  {found.broken} broken  "
        f"worker {worker.resident / 2**20:.1f} MiB, {worker.descriptors} descriptors, {worker.threads} threads  "
        f"Envoy {envoy.resident / 2**20:.1f} MiB"
    )
