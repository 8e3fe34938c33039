"""The registry here as the primary: by what a worker says, and by Envoy's own runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from extproc.processor.codec import decode
from extproc.routing.message import ResponseHead
from tests.bootstrap.stand_in import answers, resets
from tests.bootstrap.system import System, system, until

DIGEST = f"sha256:{'d' * 64}"
REQUESTS = [
    ("GET", "/v2/"),
    ("GET", "/v2/a/b/manifests/v1"),
    ("HEAD", f"/v2/a/b/blobs/{DIGEST}"),
    ("PUT", "/v2/a/b/manifests/v1"),
    ("POST", "/v2/a/b/blobs/uploads/"),
    ("PATCH", "/v2/a/b/blobs/uploads/u"),
    ("DELETE", "/v2/a/b/manifests/v1"),
    ("DELETE", f"/v2/a/b/manifests/{DIGEST}"),
    ("GET", "/gitlab/v1/repositories/a/"),
]


async def tell(edge: System, value: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{edge.envoy.admin_url}/runtime_modify", params={"geo.promoted": str(value)}) as answer,
    ):
        assert answer.status == 200


async def all_here(edge: System) -> None:
    edge.secondary.seen.clear()
    for method, path in REQUESTS:
        answered = await edge.ask(method, path)
        assert (answered.status, answered.site) == (200, "primary"), (method, path)
    assert edge.secondary.lines == [f"{method} {path}" for method, path in REQUESTS]
    assert edge.primary.seen == []
    assert edge.admin.seen == []


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_what_a_worker_sends_here(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="local", fallback=fallback) as edge:
        await all_here(edge)


@pytest.mark.parametrize("steer", [None, "primary", "secondary", "primary-then-secondary"])
async def test_what_envoy_knows_counts_more(tmp_path: Path, steer: str | None) -> None:
    """Nobody saw it, or a worker that has not heard of the change: told while it runs, and told back."""
    async with system(tmp_path, steer=steer) as edge:
        await edge.ask("PUT", "/v2/a/b/manifests/v1")
        assert edge.primary.lines == ["PUT /v2/a/b/manifests/v1"]
        if steer is None:
            await until(lambda: edge.admin.lines == ["PUT /v2/a/b/manifests/v1"])  # its copy is under way
        edge.primary.seen.clear()
        edge.admin.seen.clear()
        await tell(edge, 100)
        await all_here(edge)
        await tell(edge, 0)
        await edge.ask("PUT", "/v2/a/b/manifests/v1")
        assert edge.primary.lines == ["PUT /v2/a/b/manifests/v1"]


@pytest.mark.parametrize("steer", ["primary", "secondary", "primary-then-secondary"])
async def test_a_processor_of_a_secondary_learns_nothing_from_it(tmp_path: Path, steer: str) -> None:
    """Envoy may think so before or longer than the processor, as after a start with its old configuration: what the
    registry here says then is no lease, and no proof that what was deleted is there again."""
    async with system(tmp_path, steer=steer, role="primary") as edge:
        assert edge.processor is not None
        edge.processor.observe = True
        assert (await edge.ask("GET", "/v2/a/b/manifests/v1")).site == "primary"
        (told,) = edge.processor.responses
        head = decode(bytes(told))
        assert isinstance(head, ResponseHead)
        assert (head.status, head.site) == (200, "")


async def test_the_role_as_it_is_rendered(tmp_path: Path) -> None:
    async with system(tmp_path, role="primary") as edge:
        await all_here(edge)


@pytest.mark.parametrize("steer", ["local", None])
async def test_its_own_answers_stay_as_they_are_and_a_broken_connection_is_tried_again(
    tmp_path: Path, steer: str | None
) -> None:
    async with system(tmp_path, steer=steer, role="primary", secondary_host="s.example") as edge:
        for status in (401, 404, 500):
            edge.secondary.answer = answers(status, text="its own words")
            answered = await edge.ask("GET", "/v2/a/b/tags/list", headers={"host": "unified.example"})
            assert (answered.status, answered.text, answered.site) == (status, "its own words", "primary")
        assert edge.secondary.seen[0].headers["host"] == "s.example"
        assert edge.secondary.seen[0].headers["x-forwarded-host"] == "unified.example"
        failures = iter([True, False, True])

        async def sometimes(request: Any) -> Any:
            return await (resets if next(failures) else answers(200))(request)

        edge.secondary.answer = sometimes
        assert (await edge.ask("GET", "/v2/")).status == 200
        answered = await edge.ask("PUT", "/v2/a/b/manifests/v1")
        assert (answered.status, answered.headers["retry-after"], answered.site) == (503, "5", "none")
        assert edge.primary.seen == []
