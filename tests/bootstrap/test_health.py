"""When a site is left alone, and that the primary never is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers, resets
from tests.bootstrap.system import System, system

BLOB = "/v2/a/b/blobs/sha256:1"

pytestmark = pytest.mark.parametrize("fallback", ["composite", "priorities"])


async def _healthy(edge: System, cluster: str, count: int) -> None:
    """Until Envoy counts so many healthy endpoints; its threads know a moment later."""
    name = f"cluster.{cluster}.membership_healthy"
    async with asyncio.timeout(10):
        while True:
            stats = await edge.envoy.stats(f"^{name}$")
            if stats[name] == count:
                break
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


async def test_an_unhealthy_secondary_gets_nothing_and_comes_back(tmp_path: Path, fallback: str) -> None:
    cluster, others = ("secondary", 0) if fallback == "composite" else ("secondary_first", 1)
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.secondary.health = 503
        await _healthy(edge, cluster, others)
        answered = await edge.ask("GET", BLOB)
        assert (answered.status, answered.site, edge.secondary.seen) == (200, "primary", [])
        edge.secondary.health = 200
        await _healthy(edge, cluster, others + 1)
        assert (await edge.ask("GET", BLOB)).site == "secondary"


@pytest.mark.parametrize("secondary_health", [200, 503])
async def test_an_unhealthy_primary_is_tried_all_the_same(
    tmp_path: Path, fallback: str, secondary_health: int
) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.primary.health = 503
        edge.secondary.health = secondary_health
        edge.secondary.answer = answers(404)
        await _healthy(edge, "primary", 0)
        assert (await edge.ask("GET", BLOB)).site == "primary"
        assert edge.processor is not None
        edge.processor.set_headers["x-geo-route"] = "primary"
        answered = await edge.ask("PUT", "/v2/a/b/manifests/v1", data=b"{}")
        assert (answered.status, answered.site) == (200, "primary")


async def test_a_primary_that_failed_often_is_back_at_once(tmp_path: Path, fallback: str) -> None:
    for steer in ("primary", "secondary"):
        folder = tmp_path / steer
        folder.mkdir()
        async with system(folder, steer=steer, fallback=fallback) as edge:
            edge.secondary.answer = answers(404)
            edge.primary.answer = resets
            for _ in range(20):
                assert (await edge.ask("GET", BLOB)).status == 503
            edge.primary.answer = None
            assert (await edge.ask("GET", BLOB)).status == 200


async def test_a_secondary_that_fails_requests_is_left_alone_though_its_check_succeeds(
    tmp_path: Path, fallback: str
) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.secondary.answer = resets
        for _ in range(30):
            assert (await edge.ask("GET", BLOB)).site == "primary"
        # Priorities have no detection of outliers: there, each request still asks.
        assert len(edge.secondary.seen) == (5 if fallback == "composite" else 30)
