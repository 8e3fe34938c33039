"""An image of ten layers, pulled from each place in turns."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import aiohttp

from bench.exchange.side import COMPILED
from bench.pulls.cache import pull_through_cache
from extproc.sandbox.demo.skopeo import Skopeo
from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox

RTT: Final = 80
"""Milliseconds to the primary and back."""
MBIT: Final = 100
"""Megabits a second that the line to it carries."""
LAYERS: Final = 10
_NAME: Final = "group/app"


def compiled() -> AbstractContextManager[object]:
    """What is started meanwhile is of the form that the image has. Raises SystemExit where that was not made."""
    if not (COMPILED / "extproc").is_dir():
        raise SystemExit("build/compiled is missing: make compiled")
    return patch.dict(os.environ, PYTHONPATH=str(COMPILED), PYTHONSAFEPATH="1")


async def measured(
    folder: Path, *, rounds: int, slow_rounds: int, layer_bytes: int, transport: str, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Milliseconds of each pull, by place. The WAN is measured in `slow_rounds` only. Raises RuntimeError when what a
    place gives is not the image."""
    layout = folder / "layout"
    digest = write_image(layout, "v1", [content(layer_bytes, seed) for seed in range(LAYERS)])
    settings = {"server": {"transport": transport}, "envoy": {"message_timeout": 1.0}, "store": {"budget": 0.4}}
    async with AsyncExitStack() as stack:
        stack.enter_context(compiled())
        sandbox = await stack.enter_async_context(
            Sandbox(folder / "sandbox", workers=2, wan_rtt=RTT, wan_mbit=MBIT, settings=settings)
        )
        await _is_compiled(sandbox.edge.admin_url)
        skopeo = Skopeo(_made(folder / "skopeo"), sandbox.workspace.environment)
        where = sandbox.describe()
        for url in (where["primary_url"], where["secondary_url"]):
            await skopeo.push(layout, "v1", url, f"{_NAME}:v1")
        cache_url, cache = pull_through_cache(sandbox, folder)
        await cache.spawn()
        try:
            await cache.wait_ready()
            places = {
                "gateway": where["registry_url"],
                "secondary": where["secondary_url"],
                "pull-through cache": cache_url,
            }
            wan = sandbox.sites.primary_wan_url
            found: dict[str, list[float]] = {place: [] for place in (*places, "primary")}

            async def pull(place: str, url: str) -> None:
                took, got = await skopeo.pull(url, f"{_NAME}:v1")
                for pulled in (folder / "skopeo").glob("pull-*"):
                    shutil.rmtree(pulled)
                if got != digest:
                    raise RuntimeError(f"{place} gave {got}, not {digest}")
                found[place].append(took)

            for _ in range(2):  # what is to be known is known, and the cache is warm
                for place, url in places.items():
                    await pull(place, url)
            await _until_filled(folder / "cache", LAYERS)
            for figures in found.values():
                figures.clear()
            for number in range(rounds):
                say(f"pulls, round {number + 1} of {rounds}")
                order = list(places.items())
                for place, url in order if number % 2 else reversed(order):
                    await pull(place, url)
                if number < slow_rounds:
                    await pull("primary", wan)
            return found
        finally:
            await cache.stop()


async def _is_compiled(admin_url: str) -> None:
    async with aiohttp.ClientSession(admin_url) as session, session.get("/metrics") as answer:
        if 'compiled="true"' not in await answer.text():
            raise RuntimeError("the processor is not of the compiled form")


async def _until_filled(root: Path, layers: int) -> None:
    """A cache writes what it passes on beside passing it on."""
    async with asyncio.timeout(60):
        while len([*root.glob("docker/registry/v2/blobs/sha256/*/*/data")]) < layers + 2:  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.1)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def summary(found: dict[str, list[float]]) -> dict[str, Any]:
    """What bench.json has of it: ratios of medians, and the medians in milliseconds."""
    middle = {place: statistics.median(figures) for place, figures in found.items()}
    return {
        "pull_ratio": {
            "gateway_vs_direct": middle["gateway"] / middle["secondary"],
            "gateway_vs_pull_through_cache": middle["gateway"] / middle["pull-through cache"],
            "primary_wan_vs_gateway": middle["primary"] / middle["gateway"],
        },
        "pull_ms": {place.replace(" ", "_").replace("-", "_"): figure for place, figure in middle.items()},
        "pulls": {place.replace(" ", "_").replace("-", "_"): len(figures) for place, figures in found.items()},
    }
