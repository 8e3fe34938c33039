"""A refusal of the secondary is never the answer where the primary could not be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import system

BLOB = "/v2/a/b/blobs/sha256:1"


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
        for status in (401, 403, 404, 429):
            edge.secondary.answer = answers(status, text="refused")
            for method in ("GET", "HEAD"):
                answered = await edge.ask(method, BLOB)
                assert answered.status == 503
                assert answered.headers["retry-after"] == "5"
                assert answered.site == ("none" if response_headers else None)
                assert method == "HEAD" or "UNAVAILABLE" in answered.text


async def test_other_routes_pass_every_status(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        for status in (401, 403, 404, 429):
            edge.primary.answer = answers(status)
            assert (await edge.ask("GET", BLOB)).status == status
