"""The primary, and the secondary only where the primary fails: what it is asked for, and what it may answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from extproc.bootstrap.stale import WARNING
from extproc.processor.codec import decode
from extproc.routing.message import ResponseHead
from tests.bootstrap.stand_in import Answer, answers, resets
from tests.bootstrap.system import NOWHERE, System, system

DIGEST = f"sha256:{'d' * 64}"
TAG = "/v2/a/b/manifests/latest"
BY_DIGEST = f"/v2/a/b/manifests/{DIGEST}"

pytestmark = pytest.mark.parametrize("fallback", ["composite", "priorities"])


@asynccontextmanager
async def stale(folder: Path, fallback: str, *, path: str | None = BY_DIGEST, **more: Any) -> AsyncIterator[System]:
    """`path` is what the processor lets the secondary be asked for."""
    async with system(folder, steer="primary-then-secondary", fallback=fallback, **more) as edge:
        assert edge.processor is not None
        if path is not None:
            edge.processor.set_headers["x-geo-stale"] = path
        yield edge


async def reaches(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(25):
        while not await true():  # noqa: ASYNC110 - what it waits for happens in Envoy
            await asyncio.sleep(0.01)


async def answered_by(edge: System, site: str) -> bool:
    return (await edge.ask("GET", TAG)).site == site


async def _is(edge: System, stat: str, value: int) -> bool:
    found = (await edge.envoy.stats(stat)).values()
    return bool(found) and sum(found) == value


async def test_what_the_primary_says_is_the_answer(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback) as edge:
        for status in (200, 304, 401, 403, 404, 429):
            for method in ("GET", "HEAD"):
                edge.primary.answer = answers(status)
                answered = await edge.ask(method, TAG)
                assert (answered.status, answered.site) == (status, "primary")
                assert "warning" not in answered.headers
        assert edge.secondary.seen == []
        assert set(edge.primary.lines) == {f"GET {TAG}", f"HEAD {TAG}"}


async def test_a_primary_that_fails_and_the_secondary_is_asked_by_digest(tmp_path: Path, fallback: str) -> None:
    failures: dict[str, Answer] = {
        **{str(status): answers(status) for status in (500, 501, 502, 503, 504)},
        "reset": resets,
        "slow": answers(200, after=2),
    }
    async with stale(tmp_path, fallback, per_try_timeout=0.4) as edge:
        for name, failure in failures.items():
            for method in ("GET", "HEAD"):
                edge.primary.answer = answers(200)
                assert (await edge.ask(method, TAG)).site == "primary", name
                edge.primary.answer = failure
                answered = await edge.ask(method, TAG)
                assert (answered.status, answered.site) == (200, "secondary"), name
                assert answered.headers.getall("warning") == [WARNING]
                assert answered.headers["x-geo-reason"] == "a-reason"
        # Whatever was asked for: its own tag is never looked at.
        assert set(edge.secondary.lines) == {f"GET {BY_DIGEST}", f"HEAD {BY_DIGEST}"}
        assert all("x-geo-stale" not in seen.headers for seen in edge.secondary.seen)


@pytest.mark.parametrize("primary", [NOWHERE, "http://registry.invalid"], ids=["refuses", "has no address"])
async def test_a_dead_primary_costs_nothing_but_itself(tmp_path: Path, fallback: str, primary: str) -> None:
    async with stale(tmp_path, fallback, primary_url=primary) as edge:
        for _ in range(20):
            answered = await edge.ask("GET", TAG)
            assert (answered.status, answered.site, answered.text) == (200, "secondary", "secondary")
        assert len(edge.secondary.seen) == 20


async def test_a_primary_that_hangs_is_left_alone_and_comes_back(tmp_path: Path, fallback: str) -> None:
    """By its health check; no request waits for it any more."""
    async with stale(tmp_path, fallback, per_try_timeout=20.0) as edge:
        edge.primary.health = 503
        await reaches(lambda: _is(edge, r"cluster\.primary_if_well\.membership_healthy", 0))
        edge.primary.answer = answers(200, after=60)
        answered = await edge.ask("GET", TAG)
        assert (answered.status, answered.site) == (200, "secondary")
        edge.primary.health, edge.primary.answer = 401, None
        await reaches(lambda: answered_by(edge, "primary"))


async def test_a_primary_that_refuses_its_health_check_is_not_away(tmp_path: Path, fallback: str) -> None:
    """Nobody is served by the secondary because the primary limits its health check, or wants another path."""
    async with stale(tmp_path, fallback) as edge:
        for status in (403, 404, 429):
            edge.primary.health = status
            await reaches(lambda: _is(edge, r"cluster\.primary\.membership_healthy", 0))
            checked = r"cluster\.primary_if_well\.health_check\.success"
            before = sum((await edge.envoy.stats(checked)).values())

            async def again() -> bool:
                return sum((await edge.envoy.stats(checked)).values()) > before + 2  # noqa: B023 - used at once

            await reaches(again)
            assert await answered_by(edge, "primary"), status
            edge.primary.health = 401
            await reaches(lambda: _is(edge, r"cluster\.primary\.membership_healthy", 1))


async def test_a_primary_that_fails_though_it_looks_well_is_ejected_and_comes_back(
    tmp_path: Path, fallback: str
) -> None:
    async with stale(tmp_path, fallback) as edge:
        ejected = r"cluster\.primary_if_well\.outlier_detection\.ejections_active"
        edge.primary.answer = answers(503)

        async def ejects() -> bool:
            assert await answered_by(edge, "secondary")
            return await _is(edge, ejected, 1)

        await reaches(ejects)
        asked = len(edge.primary.seen)
        for _ in range(5):
            assert (await edge.ask("GET", TAG)).site == "secondary"
        assert len(edge.primary.seen) == asked
        edge.primary.answer = None
        await reaches(lambda: answered_by(edge, "primary"))
        assert await _is(edge, ejected, 0)


async def test_a_primary_that_was_left_alone_is_asked_where_the_secondary_has_nothing(
    tmp_path: Path, fallback: str
) -> None:
    """It may be back before Envoy has seen it (P1); and what it says then is the answer."""
    async with stale(tmp_path, fallback) as edge:
        edge.secondary.answer = answers(404)
        edge.primary.health = 503
        await reaches(lambda: _is(edge, r"cluster\.primary_if_well\.membership_healthy", 0))
        for status in (200, 404, 429):
            edge.primary.answer = answers(status, text="the primary's words")
            answered = await edge.ask("GET", TAG)
            assert (answered.status, answered.site, answered.text) == (status, "primary", "the primary's words")
            assert "warning" not in answered.headers
        assert edge.primary.lines == [f"GET {TAG}"] * 3


@pytest.mark.parametrize("primary", [NOWHERE, "http://registry.invalid"], ids=["refuses", "has no address"])
async def test_what_the_secondary_refuses_is_503(tmp_path: Path, fallback: str, primary: str) -> None:
    async with stale(tmp_path, fallback, primary_url=primary) as edge:
        for status in (401, 403, 404, 429, 500):
            edge.secondary.answer = answers(status, text="refused", headers={"www-authenticate": "Bearer"})
            for method in ("GET", "HEAD"):
                answered = await edge.ask(method, TAG)
                assert answered.status == 503
                assert (answered.headers["retry-after"], answered.site) == ("5", "none")
                assert not {"warning", "www-authenticate", "docker-content-digest"} & {
                    name.lower() for name in answered.headers
                }
                assert method == "HEAD" or '"code": "UNAVAILABLE"' in answered.text


async def test_a_refusal_too_long_to_be_replaced_is_503(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback, primary_url=NOWHERE) as edge:
        edge.secondary.answer = answers(404, text="x" * 1_000_000)
        answered = await edge.ask("GET", TAG)
        assert (answered.status, answered.headers["retry-after"]) == (503, "5")
        assert '"code": "UNAVAILABLE"' in answered.text
        assert "warning" not in answered.headers


@pytest.mark.parametrize("late", ["primary", "secondary"])
async def test_who_answers_is_named_and_warned_of_though_the_other_is_still_asked(
    tmp_path: Path, fallback: str, late: str
) -> None:
    """So nothing is learned from the one as if it were the other's."""
    first = "secondary" if late == "primary" else "primary"
    async with stale(tmp_path, fallback, per_try_timeout=0.2) as edge:
        assert edge.processor is not None
        edge.processor.observe = True
        edge.primary.answer = answers(200, after=0.8 if first == "primary" else 20, text="primary")
        edge.secondary.answer = answers(200, after=20 if first == "primary" else 0, text="secondary")
        answered = await edge.ask("GET", TAG)
        (told,) = edge.processor.responses
        head = decode(bytes(told))
        assert isinstance(head, ResponseHead)
        assert (answered.text, answered.site, head.site) == (first, first, first)
        assert ("warning" in answered.headers) == (first == "secondary")


async def test_a_slow_primary_is_waited_for_where_the_secondary_has_nothing(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback, per_try_timeout=0.2) as edge:
        edge.primary.answer = answers(200, after=0.8, text="late but right")
        edge.secondary.answer = answers(404)
        answered = await edge.ask("GET", TAG)
        assert (answered.status, answered.text, answered.site) == (200, "late but right", "primary")


@pytest.mark.parametrize("well", [True, False], ids=["looks well", "looks dead"])
async def test_a_primary_that_hangs_is_waited_for_once_however_often_it_is_asked(
    tmp_path: Path, fallback: str, well: bool
) -> None:
    idle = 2.0
    async with stale(tmp_path, fallback, per_try_timeout=0.2, idle_timeout=idle) as edge:
        edge.secondary.answer = answers(404)
        edge.primary.answer = answers(200, after=60)
        if not well:
            edge.primary.health = 503
            await reaches(lambda: _is(edge, r"cluster\.primary_if_well\.membership_healthy", 0))
        began = asyncio.get_running_loop().time()
        answered = await edge.ask("GET", TAG)
        assert asyncio.get_running_loop().time() - began < 2 * idle
        assert (answered.status, answered.site) == (504, "none")
        assert '"code": "UNAVAILABLE"' in answered.text
        assert len(edge.primary.seen) == (2 if well else 1)


async def test_the_secondary_is_not_asked_by_anything_but_a_digest(tmp_path: Path, fallback: str) -> None:
    """Nor by what a client says: its header is gone before the first route is chosen."""
    async with stale(tmp_path, fallback, path=None, primary_url=NOWHERE) as edge:
        assert edge.processor is not None
        for path in (None, "", TAG, f"{BY_DIGEST}/x", "/v2/a/b/tags/list"):
            if path is not None:
                edge.processor.set_headers["x-geo-stale"] = path
            for method in ("GET", "HEAD"):
                answered = await edge.ask(
                    method, TAG, headers=[("x-geo-stale", BY_DIGEST), ("X-Geo-Stale", BY_DIGEST)]
                )
                assert (answered.status, "warning" in answered.headers) == (503, False), path
        assert edge.secondary.seen == []
        edge.processor.set_headers["x-geo-stale"] = BY_DIGEST
        other = f"/v2/secret/blobs/{DIGEST}"
        assert (await edge.ask("GET", TAG, headers={"x-geo-stale": other})).status == 200
        assert edge.secondary.lines == [f"GET {BY_DIGEST}"]


async def test_writes_go_to_the_primary_once(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback) as edge:
        edge.primary.answer = answers(500)
        for method in ("PUT", "POST", "PATCH", "DELETE"):
            assert (await edge.ask(method, TAG)).status == 500
        assert edge.primary.lines == [f"{method} {TAG}" for method in ("PUT", "POST", "PATCH", "DELETE")]
        assert edge.secondary.seen == []


async def test_each_site_gets_its_own_host(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback, primary_host="p.example", secondary_host="s.example") as edge:
        edge.primary.answer = answers(500)
        assert (await edge.ask("GET", TAG, headers={"host": "unified.example"})).site == "secondary"
        for site, host in ((edge.primary, "p.example"), (edge.secondary, "s.example")):
            (seen,) = site.seen
            assert (seen.headers["host"], seen.headers["x-forwarded-host"]) == (host, "unified.example")


async def test_a_large_body_and_a_range_pass_as_they_are(tmp_path: Path, fallback: str) -> None:
    blob = f"/v2/a/b/blobs/{DIGEST}"
    async with stale(tmp_path, fallback, path=blob, primary_url=NOWHERE) as edge:
        body = "x" * 3_000_000
        edge.secondary.answer = answers(206, text=body)
        answered = await edge.ask("GET", blob, headers={"range": "bytes=0-2999999"})
        assert (answered.status, len(answered.text)) == (206, len(body))
        assert edge.secondary.seen[0].headers["range"] == "bytes=0-2999999"


async def test_no_stale_answer_fails_under_load(tmp_path: Path, fallback: str) -> None:
    targets = iter(range(400))
    wrong: list[Any] = []
    async with stale(tmp_path, fallback, primary_url=NOWHERE, message_timeout=20.0) as edge:

        async def client() -> None:
            for _ in targets:
                answered = await edge.ask("GET", TAG)
                if (answered.status, answered.site) != (200, "secondary"):
                    wrong.append(answered)

        await asyncio.gather(*(client() for _ in range(32)))
        assert not wrong


async def test_a_secondary_that_looks_dead_is_tried_all_the_same(tmp_path: Path, fallback: str) -> None:
    async with stale(tmp_path, fallback, primary_url=NOWHERE) as edge:
        edge.secondary.health = 503
        # With priorities both sites are in that cluster, and the primary is never taken for unwell there.
        healthy = 1 if fallback == "priorities" else 0
        await reaches(lambda: _is(edge, r"cluster\.secondary(_first)?\.membership_healthy", healthy))
        answered = await edge.ask("GET", TAG)
        assert (answered.status, answered.site) == (200, "secondary")
