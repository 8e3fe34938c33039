"""A refusal of the secondary is never the answer where the primary could not be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import Answered, system

BLOB = "/v2/a/b/blobs/sha256:1"
LARGE = 1024 * 1024
"""Bytes: more than Envoy buffers for a connection."""


async def chunks() -> AsyncIterator[bytes]:
    """No Content-Length, so Envoy is told nothing of it beforehand."""
    for _ in range(16):
        yield b"x" * (LARGE // 16)


def is_unavailable(answered: Answered) -> None:
    assert answered.status == 503
    assert answered.headers["retry-after"] == "5"
    assert answered.site == "none"
    assert '"UNAVAILABLE"' in answered.text


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize("response_headers", [True, False], ids=["explained", "unexplained"])
async def test_a_primary_without_an_address(tmp_path: Path, fallback: str, response_headers: bool) -> None:
    async with system(
        tmp_path,
        steer="secondary",
        fallback=fallback,
        primary_url="http://registry.invalid",
        response_headers=response_headers,
    ) as edge:
        answered = await edge.ask("GET", BLOB)
        assert answered.status == 200
        assert answered.site == ("secondary" if response_headers else None)
        for status in (401, 403, 404, 429, 500, 502, 503, 504):
            edge.secondary.answer = answers(status, text="refused")
            for method in ("GET", "HEAD"):
                answered = await edge.ask(method, BLOB)
                assert answered.status == 503
                assert answered.headers["retry-after"] == "5"
                assert answered.site == ("none" if response_headers else None)
                assert method == "HEAD" or "UNAVAILABLE" in answered.text


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_a_refusal_too_long_to_be_replaced(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, primary_url="http://registry.invalid") as edge:
        edge.secondary.answer = answers(404, text="x" * LARGE)
        is_unavailable(await edge.ask("GET", BLOB))
        answered = await edge.ask("HEAD", BLOB)
        assert (answered.status, answered.site) == (503, "none")


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize("expect", [False, True], ids=["at once", "after 100"])
async def test_a_read_with_a_body_is_the_primarys(tmp_path: Path, fallback: str, expect: bool) -> None:
    """Envoy would give the fallback up for a large one, and pass on what the secondary said."""
    async with system(tmp_path, steer="secondary", fallback=fallback) as edge:
        answered = await edge.ask("GET", BLOB, data=b"x" * LARGE, expect100=expect)
        assert (answered.status, answered.site) == (200, "primary")
        assert ([seen.body for seen in edge.primary.seen], edge.secondary.seen) == ([LARGE], [])


async def test_a_read_whose_body_is_announced_to_be_empty_is_local(tmp_path: Path) -> None:
    async with system(tmp_path, steer="secondary") as edge:
        answered = await edge.ask("GET", BLOB, headers={"content-length": "0"})
        assert (answered.status, answered.site) == (200, "secondary")


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize("expect", [False, True], ids=["at once", "after 100"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_large_body_of_a_request_refused_here(
    tmp_path: Path, fallback: str, expect: bool, chunked: bool
) -> None:
    """Whoever refuses it: the processor, or the route of a deletion that it did not see."""
    async with system(tmp_path, steer="primary", fallback=fallback) as edge:
        assert edge.processor is not None

        async def ask(method: str, path: str) -> Answered:
            body = chunks() if chunked else b"x" * LARGE
            return await edge.ask(method, path, data=body, expect100=expect)

        edge.processor.refusal = (401, "refused")
        answered = await ask("PUT", "/v2/a/b/manifests/latest")
        assert (answered.status, answered.text, answered.headers["retry-after"]) == (401, "refused", "7")
        edge.processor.refusal = None
        edge.processor.set_headers.clear()
        answered = await ask("DELETE", f"/v2/a/b/manifests/sha256:{'d' * 64}")
        assert (answered.status, answered.headers["retry-after"], answered.site) == (503, "1", "none")
        assert "cannot be recorded" in answered.text
        assert edge.primary.seen == edge.secondary.seen == []


async def test_other_routes_pass_every_status(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        for status in (401, 403, 404, 429):
            edge.primary.answer = answers(status)
            assert (await edge.ask("GET", BLOB)).status == status
