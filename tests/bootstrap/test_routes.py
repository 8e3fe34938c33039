"""What happens to a request that no processor saw, and to one that says where it wants to go."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.stand_in import Upstream, answers, resets
from tests.bootstrap.system import NOWHERE, System, system, until

DIGEST = "sha256:" + "0" * 64
CHANGES = [
    "PUT /v2/a/b/manifests/v1",
    f"PUT /v2/a/b/manifests/{DIGEST}",
    f"DELETE /v2/a/b/manifests/{DIGEST}",
    "DELETE /v2/a/b/manifests/v1",
    f"DELETE /v2/a/b/blobs/{DIGEST}",
    "DELETE /v2/a/b/tags/reference/v1",
    "PUT /v2/a/blobs/uploads/manifests/v1",
    "PUT /v2/a/b/manifests/v1?x=%2F//../;&y=a+b",
]
OTHERS = [
    "POST /v2/a/b/blobs/uploads/",
    f"POST /v2/a/b/blobs/uploads/?mount={DIGEST}&from=c/d",
    "PATCH /v2/a/b/blobs/uploads/8d1f7e2c?_state=eyJ%2BfX0%3D~_-.%7E",
    f"PUT /v2/a/b/blobs/uploads/8d1f7e2c?_state=a%2Bb&digest={DIGEST}",
    "DELETE /v2/a/b/blobs/uploads/8d1f7e2c",
    "PATCH /gitlab/v1/repositories/a/b/",
    "GET /v2/",
    "HEAD /v2/a/b/manifests/v1",
    f"GET /v2/a/b/blobs/{DIGEST}",
]
UNREADABLE = [
    "/v2/a/b/manifests/v1%3b",
    "/v2/a/b/manifests/v1;x",
    "/v2/a/b/manifests/v1%0a",
    "/v2/a/b/manifests/v1%ff",
    "/v2/a/b/manifests/v1/",
    "/v2/a/b/manifests/v%2f1",
    "/v2/a%20/b/manifests/v1",
    "/v2/a/b/blobs/uploads/8d1f7e2c/",
    "/v2/",
    "/%3b/v2/a/manifests/v1",
]
NORMALIZED = {
    "/v2//a/./b/manifests/v1": "/v2/a/b/manifests/v1",
    "/v2/x/../a/b/manifests/v1": "/v2/a/b/manifests/v1",
    "/%762/a/b/manifests/v%31": "/v2/a/b/manifests/v1",
    "/jwt/auth/../../v2/a/b/manifests/v1": "/v2/a/b/manifests/v1",
}


async def _seen(upstream: Upstream, count: int) -> list[str]:
    await until(lambda: len(upstream.seen) >= count)
    return upstream.lines


async def _ask(edge: System, line: str, **kwargs: Any) -> int:
    method, target = line.split(" ", 1)
    return (await edge.ask(method, target, **kwargs)).status


@pytest.mark.parametrize("processor", ["nobody there", "killed"])
async def test_unseen_changes_reach_the_primary_and_the_admin_server(tmp_path: Path, processor: str) -> None:
    async with system(tmp_path, dead_workers=0 if processor == "killed" else 1) as edge:
        for count, line in enumerate(CHANGES, 1):
            assert await _ask(edge, line, headers={"authorization": "Bearer secret"}) == 200
            assert await _seen(edge.admin, count) == edge.primary.lines == CHANGES[:count]
        assert edge.primary.seen[0].headers["authorization"] == "Bearer secret"
        assert all("authorization" not in seen.headers for seen in edge.admin.seen)


async def test_other_unseen_requests_reach_the_primary_alone_byte_for_byte(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        for line in OTHERS:
            assert await _ask(edge, line) == 200
        assert edge.primary.lines == OTHERS
        assert edge.admin.seen == edge.secondary.seen == []


async def test_seen_changes_are_not_mirrored(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        for line in (*CHANGES, *OTHERS):
            assert await _ask(edge, line) == 200
        assert edge.primary.lines == [*CHANGES, *OTHERS]
        assert edge.admin.seen == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_unseen_writes_that_cannot_be_read_are_refused(tmp_path: Path, method: str) -> None:
    async with system(tmp_path) as edge:
        for target in UNREADABLE:
            answered = await edge.ask(method, target)
            assert answered.status == 400, target
            if "%2f" not in target:  # Envoy refuses that one before there is a route.
                assert '"code": "NAME_INVALID"' in answered.text, target
                assert answered.headers["content-type"] == "application/json"
                assert answered.headers["x-geo-reason"] == "name-invalid"
        for path in (b"/v2/a/manifests/\xff", b"/v2/a/manifests/\xc3\xa9", b"/v2/a/manifests/b\tc"):
            request = method.encode() + b" " + path + b" HTTP/1.1\r\nhost: r\r\n\r\n"
            assert (await edge.raw(request)).startswith(b"HTTP/1.1 400")
        assert edge.primary.seen == edge.admin.seen == []


async def test_what_envoy_normalizes_all_read_alike(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        for target, path in NORMALIZED.items():
            edge.primary.seen.clear()
            edge.admin.seen.clear()
            assert await _ask(edge, f"PUT {target}") == 200
            assert await _seen(edge.admin, 1) == edge.primary.lines == [f"PUT {path}"]


async def test_unreadable_reads_pass_to_the_primary(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        assert await _ask(edge, "GET /v2/a/b/tags/list/?last=%2F") == 200
        assert await _ask(edge, "GET /gitlab/v1/repositories/a%20b/tags/list/") == 200
        assert len(edge.primary.seen) == 2


async def test_a_large_manifest_is_mirrored_whole(tmp_path: Path) -> None:
    """More than Envoy's buffers hold."""
    async with system(tmp_path) as edge:
        body = io.BytesIO(bytes(4_000_000))
        assert await _ask(edge, CHANGES[0], data=body) == 200
        await _seen(edge.admin, 1)
        assert edge.admin.seen[0].body == edge.primary.seen[0].body == 4_000_000


async def test_the_admin_server_does_not_hold_up_a_write(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        for trouble in (resets, answers(500), answers(204, after=30)):
            edge.admin.answer = trouble
            assert await _ask(edge, CHANGES[0], data=io.BytesIO(bytes(2_000_000))) == 200


async def test_a_seen_change_ends_before_its_mark(tmp_path: Path) -> None:
    """Counted from the start: here the body never ends, and `timeout` would not even begin."""
    async with system(tmp_path, steer="primary", write_timeout=0.5) as edge:
        head = b"HTTP/1.1\r\nhost: r\r\ncontent-length: 10\r\n\r\n"
        for path in (b"/v2/a/manifests/v1", b"/v2/a/blobs/sha256:0"):
            async with asyncio.timeout(5):
                answer = await edge.raw(b"PUT " + path + b" " + head)
            assert answer.startswith(b"HTTP/1.1 408")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await edge.raw(b"PATCH /v2/a/blobs/uploads/1 " + head)


async def test_every_write_goes_to_the_primary_when_the_secondary_is_all_there_is(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary", primary_url=NOWHERE) as edge:
        assert await _ask(edge, CHANGES[0]) == 503
        assert edge.secondary.seen == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_site_cannot_pass_for_us(tmp_path: Path, method: str) -> None:
    async with system(tmp_path) as edge:
        edge.primary.answer = answers(200, headers={"x-geo-site": "secondary", "X-Geo-Reason": "tag-verified"})
        answered = await edge.ask(method, "/v2/a/b/manifests/v1")
        assert answered.headers.getall("x-geo-site") == ["primary"]
        assert "x-geo-reason" not in answered.headers


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_without_explanation_there_is_none(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, steer="secondary", fallback=fallback, response_headers=False) as edge:
        edge.secondary.answer = answers(200, headers={"x-geo-site": "a", "x-geo-reason": "b"})
        for method in ("GET", "PUT"):
            answered = await edge.ask(method, "/v2/a/b/manifests/v1")
            assert not [name for name in answered.headers if name.lower().startswith("x-geo")]


async def test_the_primarys_own_host(tmp_path: Path) -> None:
    async with system(tmp_path, primary_host="p.example") as edge:
        await edge.ask("POST", "/v2/a/b/blobs/uploads/", headers={"host": "unified.example", "x-forwarded-host": "x"})
        (seen,) = edge.primary.seen
        assert (seen.headers["host"], seen.headers.getall("x-forwarded-host")) == ("p.example", ["unified.example"])


async def test_the_issuer_is_past_the_processor(tmp_path: Path) -> None:
    async with system(tmp_path, steer="secondary", with_issuer=True) as edge:
        answered = await edge.ask("GET", "/jwt/auth?service=container_registry&scope=repository:a/b:pull")
        assert (answered.status, answered.text) == (200, "issuer")
        assert edge.issuer.lines == ["GET /jwt/auth?service=container_registry&scope=repository:a/b:pull"]
        assert await _ask(edge, "POST /jwt/auth", data={"grant_type": "password"}) == 200
        assert edge.processor is not None
        assert edge.processor.requests == []
        assert (await edge.ask("GET", "/jwt/authority")).site == "secondary"
