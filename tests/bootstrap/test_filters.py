"""The processor as Envoy's filter talks to it, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import system, until

TAG = "/v2/a/b/manifests/v1"
DIGEST = "/v2/a/b/manifests/sha256:1"


async def test_it_sees_what_it_needs_and_no_more(tmp_path: Path) -> None:
    async with system(tmp_path, steer="secondary") as edge:
        assert edge.processor is not None
        headers = {"authorization": "Bearer x", "accept": "a/b", "cookie": "c", "x-other": "y", "x-geo-route": "z"}
        await edge.ask("GET", f"{TAG}?ns=docker.io", headers=headers)
        (seen,) = edge.processor.requests
        assert set(seen) == {
            ":method",
            ":path",
            "authorization",
            "accept",
        }
        assert seen[":path"] == f"{TAG}?ns=docker.io"
        assert edge.processor.responses == []


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize(("status", "site", "attempts"), [(200, "secondary", 1), (404, "primary", 2)])
async def test_the_response_phase_tells_which_site_answered(
    tmp_path: Path, fallback: str, status: int, site: str, attempts: int
) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        assert edge.processor is not None
        edge.processor.observe = True
        edge.secondary.answer = answers(status, headers={"docker-content-digest": "sha256:s", "set-cookie": "c"})
        edge.primary.answer = answers(200, headers={"docker-content-digest": "sha256:p", "set-cookie": "c"})
        assert (await edge.ask("GET", DIGEST)).site == site
        (seen,) = edge.processor.responses
        (attributes,) = seen.attributes.values()
        fields = {name: value.to_dict() for name, value in attributes.fields.items()}
        assert fields["upstream.request_attempt_count"] == attempts
        assert f'string_value: "{site}"' in str(fields["xds.upstream_host_metadata"])
        assert seen.response_headers is not None
        assert seen.response_headers.headers is not None
        got = {header.key: header.raw_value.decode() for header in seen.response_headers.headers.headers}
        assert got[":status"] == "200"
        assert got["docker-content-digest"] == f"sha256:{site[0]}"
        assert "set-cookie" not in got


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_it_may_turn_a_tag_into_its_digest(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        assert edge.processor is not None
        edge.processor.set_headers[":path"] = DIGEST
        edge.secondary.answer = answers(404)
        assert (await edge.ask("GET", TAG)).site == "primary"
        assert edge.secondary.lines == edge.primary.lines == [f"GET {DIGEST}"]


async def test_it_may_not_change_host_or_method(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        assert edge.processor is not None
        edge.processor.set_headers |= {"host": "evil", ":method": "DELETE", "x-envoy-retry-on": "5xx"}
        assert (await edge.ask("GET", TAG, headers={"host": "unified.example"})).site == "primary"
        (seen,) = edge.primary.seen
        assert (seen.method, seen.headers["host"]) == ("GET", "unified.example")
        assert "x-envoy-retry-on" not in seen.headers


async def test_a_silent_processor_is_not_waited_for(tmp_path: Path) -> None:
    async with system(tmp_path, steer="secondary", message_timeout=0.2) as edge:
        assert edge.processor is not None
        edge.processor.gate = asyncio.Event()
        async with asyncio.timeout(3):
            assert (await edge.ask("GET", DIGEST)).site == "primary"
            assert (await edge.ask("PUT", TAG)).site == "primary"
            await until(lambda: bool(edge.admin.seen))
        edge.processor.gate.set()
        assert (await edge.ask("GET", DIGEST)).site == "secondary"


async def test_every_request_finds_a_living_worker(tmp_path: Path) -> None:
    """One worker of three is not there: none of the requests is unseen, from the first on."""
    async with system(tmp_path, steer="secondary", workers=2, dead_workers=1) as edge:
        found = [await edge.ask("GET", DIGEST) for _ in range(60)]
        assert {answered.site for answered in found} == {"secondary"}


async def test_a_worker_that_is_killed_costs_no_request_its_decision(tmp_path: Path) -> None:
    """Between its death and the next health check, streams are opened at the other one."""
    async with (
        killable_worker(tmp_path / "worker-0.sock") as victim,
        system(tmp_path, steer="secondary", dead_workers=1, concurrency=1) as edge,
    ):
        assert edge.processor is not None
        for _ in range(20):
            assert (await edge.ask("GET", DIGEST)).site == "secondary"
        assert len(edge.processor.requests) < 20  # the rest went to the victim
        victim.kill()
        await victim.wait()
        found = [await edge.ask("GET", DIGEST) for _ in range(60)]
        assert {answered.site for answered in found} == {"secondary"}


@asynccontextmanager
async def killable_worker(socket: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bootstrap.stand_in", str(socket)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
