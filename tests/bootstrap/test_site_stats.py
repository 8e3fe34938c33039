"""What each site served, by Envoy's own count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import System, system

BLOB = "/v2/a/b/blobs/sha256:1"


async def served(edge: System) -> dict[str, int]:
    """Statistics by what comes after `geo.served_`."""
    found = await edge.envoy.stats("^geo.served_")
    return {name.removeprefix("geo.served_"): value for name, value in found.items()}


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_requests_and_bytes_by_site_route_and_status(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.secondary.answer = answers(200, text="x" * 100)
        for _ in range(3):
            await edge.ask("GET", BLOB)
        edge.secondary.answer = answers(404)
        edge.primary.answer = answers(200, text="x" * 1000)
        await edge.ask("GET", BLOB)
        edge.secondary.answer = answers(307)
        await edge.ask("GET", BLOB)
        assert await served(edge) == {
            "requests.site.secondary.route.secondary.status.200": 3,
            "bytes.site.secondary.route.secondary.status.200": 300,
            "requests.site.primary.route.secondary.status.200": 1,
            "bytes.site.primary.route.secondary.status.200": 1000,
            "requests.site.secondary.route.secondary.status.307": 1,
            "bytes.site.secondary.route.secondary.status.307": 0,
        }


async def test_what_nobody_saw_and_what_no_site_answered(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        assert edge.processor is not None
        edge.processor.refusal = (401, "refused")
        await edge.ask("GET", BLOB)
        edge.processor.refusal = None
        edge.processor.set_headers.clear()
        await edge.ask("GET", BLOB, headers={"x-geo-route": "secondary", "x-geo-site": "forged"})
        found = await served(edge)
        assert found["requests.site..route..status.401"] == 1
        assert found["bytes.site..route..status.401"] == len("refused")
        assert found["requests.site.primary.route..status.200"] == 1
        assert len(found) == 4, "nothing that a client says makes a series"
