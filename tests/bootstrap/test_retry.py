"""Reads fall back from the secondary to the primary, with either of Envoy's ways to do it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.stand_in import Answer, Upstream, answers, resets
from tests.bootstrap.system import NOWHERE, system

BLOB = "/v2/a/b/blobs/sha256:1"

pytestmark = pytest.mark.parametrize("fallback", ["composite", "priorities"])


async def test_what_the_secondary_does_not_serve_the_primary_does(tmp_path: Path, fallback: str) -> None:
    refusals: dict[str, Answer] = {
        **{str(status): answers(status) for status in (401, 403, 404, 429, 500, 502, 503, 504)},
        "reset": resets,
        "slow": answers(200, after=1.5),
    }
    # Outliers would be ejected in the middle of this, which is another test.
    async with system(tmp_path, steer="secondary", fallback=fallback, per_try_timeout=0.4) as edge:
        assert (await edge.ask("GET", BLOB)).site == "secondary"
        for name, refusal in refusals.items():
            for method in ("GET", "HEAD"):
                edge.secondary.answer = answers(200)
                assert (await edge.ask(method, BLOB)).site == "secondary", name
                edge.secondary.answer = refusal
                answered = await edge.ask(method, BLOB)
                assert (answered.status, answered.site) == (200, "primary"), name
                assert answered.headers["x-geo-reason"] == "a-reason"


async def test_a_secondary_that_is_down_costs_nothing_but_itself(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, secondary_url=NOWHERE) as edge:
        for _ in range(20):
            answered = await edge.ask("GET", BLOB)
            assert (answered.status, answered.site) == (200, "primary")


@pytest.mark.parametrize("secondary", ["up", "down"])
async def test_the_primarys_own_answer_stays_as_it_is(tmp_path: Path, fallback: str, secondary: str) -> None:
    url = NOWHERE if secondary == "down" else None
    async with system(tmp_path, steer="secondary", fallback=fallback, secondary_url=url) as edge:
        edge.secondary.answer = answers(404)
        for status in (404, 401, 403, 429, 500):
            edge.primary.answer = answers(status, text="its own words")
            answered = await edge.ask("GET", BLOB)
            assert (answered.status, answered.text, answered.site) == (status, "its own words", "primary")


async def test_a_slow_primary_is_waited_for(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, per_try_timeout=0.2) as edge:
        edge.primary.answer = answers(200, after=0.7, text="late but right")
        for slow in (answers(404), answers(404, after=0.4), answers(200, after=3)):
            edge.secondary.answer = slow
            answered = await edge.ask("GET", BLOB)
            assert (answered.status, answered.text, answered.site) == (200, "late but right", "primary")


async def test_nobody_there_is_503_in_the_registrys_form(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, primary_url=NOWHERE) as edge:
        assert (await edge.ask("GET", BLOB)).status == 200
        edge.secondary.answer = answers(404)
        answered = await edge.ask("GET", BLOB)
        assert answered.status == 503
        assert answered.site == "none"
        assert '"code": "UNAVAILABLE"' in answered.text
        assert answered.headers["content-type"] == "application/json"
        assert answered.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answered.headers["retry-after"] == "5"
        write = await edge.ask("POST", "/v2/a/b/blobs/uploads/")
        assert (write.status, write.headers["retry-after"]) == (503, "5")


async def test_no_fallback_leaks_under_load(tmp_path: Path, fallback: str) -> None:
    """2,000 reads of what only the primary has, on 64 connections: with Envoy's 3 retries at once, 404s leak."""
    targets = iter(range(2_000))
    wrong: list[Any] = []
    # A health check that came late would send reads past the secondary.
    async with system(
        tmp_path, steer="secondary", fallback=fallback, message_timeout=20.0, health_interval=20.0
    ) as edge:
        edge.secondary.answer = answers(404)

        async def client() -> None:
            for number in targets:
                answered = await edge.ask("GET", f"{BLOB}{number}")
                if (answered.status, answered.site) != (200, "primary"):
                    wrong.append(answered)

        await asyncio.gather(*(client() for _ in range(64)))
        assert not wrong
        assert len(edge.secondary.seen) == len(edge.primary.seen) == 2_000


async def test_where_requests_run_out_it_is_503_and_never_the_404_of_the_secondary(
    tmp_path: Path, fallback: str
) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, max_connections=2) as edge:
        edge.secondary.answer = answers(404)
        edge.primary.answer = answers(200, after=0.05)
        # As many connections as the listener then takes.
        found = [await asyncio.gather(*(edge.ask("GET", BLOB) for _ in range(8))) for _ in range(10)]
        assert {answered.status for batch in found for answered in batch} == {200, 503}


async def test_writes_steered_to_the_secondary_by_mistake_go_to_the_primary_once(
    tmp_path: Path, fallback: str
) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.primary.answer = answers(500)
        assert (await edge.ask("PUT", "/v2/a/b/manifests/v1", data=b"{}")).status == 500
        assert edge.primary.lines == ["PUT /v2/a/b/manifests/v1"]
        assert edge.secondary.seen == []


async def test_a_kept_connection_that_breaks_is_not_the_clients_problem(tmp_path: Path, fallback: str) -> None:
    """`x-geo-route: primary`, GET: sent again, once."""
    async with system(tmp_path, steer="primary", fallback=fallback) as edge:
        failures = iter([True, False, True, True])

        async def sometimes(request: Any) -> Any:
            return await (resets if next(failures) else answers(200))(request)

        edge.primary.answer = sometimes
        assert (await edge.ask("GET", BLOB)).status == 200
        assert (await edge.ask("GET", BLOB)).status == 503
        edge.primary.answer = resets
        edge.primary.seen.clear()
        assert (await edge.ask("POST", "/v2/a/b/blobs/uploads/")).status == 503
        assert len(edge.primary.seen) == 1


async def test_each_site_gets_its_own_host(tmp_path: Path, fallback: str) -> None:
    async with system(
        tmp_path, steer="secondary", fallback=fallback, primary_host="p.example", secondary_host="s.example"
    ) as edge:
        edge.secondary.answer = answers(404)
        assert (await edge.ask("GET", BLOB, headers={"host": "unified.example"})).site == "primary"
        assert _hosts(edge.secondary) == [("s.example", "unified.example")]
        assert _hosts(edge.primary) == [("p.example", "unified.example")]


async def test_the_clients_host_is_kept_where_no_site_has_its_own(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.secondary.answer = answers(404)
        await edge.ask("GET", BLOB, headers={"host": "unified.example:5000"})
        for site in (edge.secondary, edge.primary):
            assert _hosts(site) == [("unified.example:5000", None)]


def _hosts(site: Upstream) -> list[tuple[str, str | None]]:
    return [(seen.headers["host"], seen.headers.get("x-forwarded-host")) for seen in site.seen]


async def test_headers_come_at_once_after_a_fast_refusal(tmp_path: Path, fallback: str) -> None:
    """The back-off is not Envoy's 25 ms and more."""
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        edge.secondary.answer = answers(404)
        await edge.ask("GET", BLOB)
        begin = time.monotonic()
        for _ in range(50):
            await edge.ask("GET", BLOB)
        assert (time.monotonic() - begin) / 50 < 0.02
