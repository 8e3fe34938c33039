"""How a pod ends: what the chart runs before Envoy is told to."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.bootstrap.stand_in import answers, upstream
from tests.bootstrap.system import system, until
from tests.helm.chart import CHART, outcome
from tests.helm.pod import gateway
from tests.helm.values import LEAST
from tests.support.envoy import Envoy

SCRIPT = CHART / "files" / "drain.sh"
BLOB = "/v2/a/b/blobs/sha256:1"
ACTIVE = "http.registry.downstream_rq_active"


@asynccontextmanager
async def draining(admin_url: str, *, least: int = 0, most: int = 60) -> AsyncIterator[Process]:
    """As the kubelet runs it; killed where it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        "bash", str(SCRIPT), admin_url.rpartition(":")[2], str(least), str(most), stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_the_chart_runs_this_script_with_envoys_port_and_its_times() -> None:
    rendered = outcome(LEAST)
    assert rendered.files["drain.sh"] == SCRIPT.read_text()
    command = gateway(rendered).containers["envoy"]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["bash", "/etc/geo-extproc/settings/drain.sh", "9901", "10", "600"]


async def test_a_layer_that_is_on_its_way_arrives(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slowly(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "2000"})
        await response.prepare(request)
        await response.write(b"x" * 1000)
        await go_on.wait()
        await response.write(b"y" * 1000)
        return response

    async with system(tmp_path, steer="secondary") as edge:
        edge.secondary.answer = slowly
        async with edge.client.get(edge.envoy.url + BLOB) as layer:
            assert await layer.content.readexactly(1000) == b"x" * 1000
            async with draining(edge.envoy.admin_url) as script:
                await asked_at_least(edge.envoy, 3)
                assert script.returncode is None
                edge.secondary.answer = answers(200, text="new")
                late = await edge.ask("GET", BLOB)
                assert (late.status, late.headers["Connection"]) == (200, "close")
                assert script.returncode is None
                go_on.set()
                assert await layer.content.readexactly(1000) == b"y" * 1000
                assert await script.wait() == 0


async def asked_at_least(envoy: Envoy, times: int) -> None:
    """That many requests came to Envoy's admin interface, besides these."""
    total = "http.admin.downstream_rq_total"
    before = (await envoy.stats(f"^{total}$"))[total]
    own = 0
    async with asyncio.timeout(30):
        while True:
            own += 1
            if (await envoy.stats(f"^{total}$"))[total] - before - own >= times:
                return


async def test_without_a_request_it_ends_once_load_balancers_know() -> None:
    async with upstream("envoy's admin") as admin:
        admin.answer = answers(200, text=f"{ACTIVE}: 0\n")
        async with draining(admin.url) as script:
            assert await script.wait() == 0
        assert [seen.line for seen in admin.seen] == ["POST /healthcheck/fail", f"GET /stats?filter=^{ACTIVE}$"]
        admin.seen.clear()
        async with draining(admin.url, least=60) as script:
            await until(lambda: bool(admin.seen))
            assert [seen.line for seen in admin.seen] == ["POST /healthcheck/fail"]
            assert script.returncode is None


@pytest.mark.parametrize("active", ["1", "10"])
async def test_it_waits_no_longer_than_it_may(active: str) -> None:
    async with upstream("envoy's admin") as admin:
        admin.answer = answers(200, text=f"{ACTIVE}: {active}\n")
        async with draining(admin.url, most=1) as script:
            _, complaint = await script.communicate()
            assert script.returncode == 0
        assert complaint.decode() == "requests were still under way after 1 seconds\n"
        assert len(admin.seen) > 1


async def test_an_envoy_that_is_gone_is_not_waited_for() -> None:
    async with draining("http://127.0.0.1:1") as script:
        await script.communicate()
        assert script.returncode == 0
