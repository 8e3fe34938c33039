"""What a client may not say, and what a registry must be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import system

FORGED = {
    "once": [("x-geo-route", "secondary")],
    "twice": [("x-geo-route", "secondary"), ("x-geo-route", "secondary")],
    "mixed case": [("X-Geo-Route", "secondary"), ("X-GEO-ROUTE", "primary")],
    "with a reason": [("x-geo-route", "secondary"), ("x-geo-reason", "tag-verified"), ("x-geo-site", "secondary")],
    "in one value": [("x-geo-route", "primary,secondary")],
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_forged_steering_without_a_processor(
    tmp_path: Path, fallback: str, forged: list[tuple[str, str]]
) -> None:
    async with system(tmp_path, fallback=fallback) as edge:
        answered = await edge.ask("GET", "/v2/a/b/blobs/sha256:1", headers=forged)
        assert (answered.status, answered.site) == (200, "primary")
        assert "x-geo-reason" not in answered.headers
        assert (await edge.ask("PUT", "/v2/a/b/manifests/v1;", headers=forged)).status == 400
        assert (await edge.ask("DELETE", f"/v2/a/b/manifests/sha256:{'0' * 64}", headers=forged)).status == 503
        (seen,) = edge.primary.seen
        assert not [name for name in seen.headers if name.lower().startswith("x-geo")]
        assert edge.secondary.seen == []


async def test_forged_steering_with_a_processor(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        for forged in FORGED.values():
            answered = await edge.ask("GET", "/v2/a/b/blobs/sha256:1", headers=forged)
            assert (answered.site, answered.headers.getall("x-geo-reason")) == ("primary", ["a-reason"])
        assert edge.secondary.seen == []


async def test_clients_do_not_steer_envoy(tmp_path: Path) -> None:
    """Not even from an address that Envoy may take for internal, as here."""
    async with system(tmp_path, steer="secondary") as edge:
        edge.primary.answer = answers(500, after=0.05)
        forged = {
            "x-envoy-retry-on": "5xx,retriable-4xx",
            "X-Envoy-Max-Retries": "3",
            "x-envoy-upstream-rq-timeout-ms": "1",
            "x-envoy-upstream-rq-per-try-timeout-ms": "1",
        }
        assert (await edge.ask("PUT", "/v2/a/b/manifests/v1", headers=forged)).status == 500
        assert len(edge.primary.seen) == 1
        edge.secondary.answer = edge.primary.answer = answers(404)
        assert (await edge.ask("GET", "/v2/a/b/manifests/v1", headers=forged)).status == 404


@pytest.mark.parametrize(("hops", "forwarded"), [(0, "http"), (1, "https")])
async def test_the_scheme_that_location_is_built_from(tmp_path: Path, hops: int, forwarded: str) -> None:
    async with system(tmp_path, xff_num_trusted_hops=hops) as edge:
        headers = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}
        await edge.ask("POST", "/v2/a/b/blobs/uploads/", headers=headers)
        assert edge.primary.seen[0].headers["x-forwarded-proto"] == forwarded


async def test_heads_have_a_limit_and_bodies_none(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        headers = {"authorization": "Bearer " + "a" * 50_000}
        assert (await edge.ask("GET", "/v2/", headers=headers)).status == 200
        headers = {"authorization": "Bearer " + "a" * 70_000}
        assert (await edge.ask("GET", "/v2/", headers=headers)).status == 431


async def test_the_registrys_own_server_header_is_kept(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        edge.primary.answer = answers(200, headers={"server": "registry/2"})
        assert (await edge.ask("GET", "/v2/")).headers["server"] == "registry/2"
