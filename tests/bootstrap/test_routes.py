"""What happens to a request that no processor saw, and to one that says where it wants to go."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest

from extproc.bootstrap import local_reply
from tests.bootstrap.stand_in import Upstream, answers, resets
from tests.bootstrap.system import NOWHERE, System, system, until

DIGEST = "sha256:" + "0" * 64
CHANGES = [
    "PUT /v2/a/b/manifests/v1",
    f"PUT /v2/a/b/manifests/{DIGEST}",
    "DELETE /v2/a/b/manifests/v1",
    f"DELETE /v2/a/b/manifests/{DIGEST.replace(':', '-')}",
    f"DELETE /v2/a/b/manifests/v1?digest={DIGEST}",
    "DELETE /v2/a/b/tags/reference/v1",
    "PUT /v2/a/blobs/uploads/manifests/v1",
    "PUT /v2/a/b/manifests/v1?x=%2F//../;&y=a+b",
]
DELETES = {
    "manifest": f"/v2/a/b/manifests/{DIGEST}",
    "blob": f"/v2/a/b/blobs/{DIGEST}",
    "with a query": f"/v2/a/b/manifests/{DIGEST}?x=%2F//../;&y=a+b",
    "upper-case digest": f"/v2/a/b/manifests/{DIGEST.replace('0', 'A')}",
    "upper-case algorithm": f"/v2/a/b/manifests/{DIGEST.upper()}",
    "another algorithm": "/v2/a/b/blobs/sha512:" + "0" * 128,
    "an algorithm of two words": "/v2/a/b/manifests/a+b:" + "0" * 32,
    "no digest, but no tag either": "/v2/a/b/manifests/:",
    "a name of keywords": f"/v2/blobs/uploads/manifests/{DIGEST}",
    "a name with a colon": f"/v2/a:1/b/manifests/{DIGEST}",
    "normalized: escaped letters": f"/%762/a/%62/manifes%74s/%73ha256:{'0' * 64}",
    "normalized: doubled slash": f"/v2//a/b/manifests//{DIGEST}",
    "normalized: dot segments": f"/v2/a/x/../b/./manifests/{DIGEST}",
    "normalized: past the issuer": f"/jwt/auth/../../v2/a/b/manifests/{DIGEST}",
}
"""Paths that distribution obeys as a deletion by digest, or nearly."""
UNREADABLE_DELETES = {
    "escaped colon": f"/v2/a/b/manifests/{DIGEST.replace(':', '%3A')}",
    "escaped colon, lower case": f"/v2/a/b/blobs/{DIGEST.replace(':', '%3a')}",
    "escaped twice": f"/v2/a/b/blobs/{DIGEST.replace(':', '%253a')}",
    "escaped slash": f"/v2/a/b/manifests%2f{DIGEST}",
    "escaped backslash": f"/v2/a/b/manifests%5c{DIGEST}",
    "escaped end of line": f"/v2/a/b/manifests/{DIGEST}%0a",
    "trailing slash": f"/v2/a/b/manifests/{DIGEST}/",
    "trailing slash of a blob": f"/v2/a/b/blobs/{DIGEST}/",
    "parameter of a path": f"/v2/a/b/manifests/{DIGEST};x",
}
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


@pytest.mark.parametrize("processor", ["nobody there", "killed", "silent"])
async def test_unseen_deletes_by_digest_are_refused_before_any_site_sees_them(tmp_path: Path, processor: str) -> None:
    """P6 before P1: without a tombstone the secondary would go on serving what was deleted."""
    steer, dead = ("primary", 0) if processor == "silent" else (None, 0 if processor == "killed" else 1)
    async with system(tmp_path, steer=steer, dead_workers=dead, message_timeout=0.15) as edge:
        gate = asyncio.Event()
        if edge.processor is not None:
            edge.processor.gate = gate
        for name, target in DELETES.items():
            answered = await edge.ask("DELETE", target, headers={"authorization": "Bearer secret"})
            assert (answered.status, answered.site) == (503, "none"), name
            assert json.loads(answered.text) == {
                "errors": [{"code": "UNAVAILABLE", "message": local_reply.UNRECORDED, "detail": None}]
            }, name
            assert answered.headers["content-type"] == "application/json", name
            assert answered.headers["docker-distribution-api-version"] == "registry/2.0", name
            assert (answered.headers["retry-after"], answered.headers["x-geo-reason"]) == (
                "1",
                "evidence-unavailable",
            ), name
        for name, target in UNREADABLE_DELETES.items():
            assert (await edge.ask("DELETE", target)).status == 400, name
        for raw in (b"http://r%b", b"%b#x", b"%b?"):
            request = b"DELETE " + raw % DELETES["manifest"].encode() + b" HTTP/1.1\r\nhost: r\r\n\r\n"
            assert (await edge.raw(request)).split()[1] in {b"400", b"503"}
        assert edge.primary.seen == edge.secondary.seen == edge.admin.seen == []
        if edge.processor is not None:
            gate.set()
            assert await _ask(edge, "DELETE " + DELETES["manifest"]) == 200
            assert edge.primary.lines == ["DELETE " + DELETES["manifest"]]


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_nor_is_an_unseen_delete_explained_where_nothing_is(tmp_path: Path, fallback: str) -> None:
    async with system(tmp_path, fallback=fallback, response_headers=False) as edge:
        answered = await edge.ask("DELETE", DELETES["blob"])
        assert (answered.status, answered.headers["retry-after"]) == (503, "1")
        assert json.loads(answered.text)["errors"][0]["message"] == local_reply.UNRECORDED
        assert not [name for name in answered.headers if name.lower().startswith("x-geo")]
        assert edge.primary.seen == edge.admin.seen == []


async def test_what_the_primary_or_envoy_says_to_a_seen_delete_is_kept(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        edge.primary.answer = answers(503, text="busy")
        answered = await edge.ask("DELETE", DELETES["manifest"])
        assert (answered.status, answered.text, answered.site) == (503, "busy", "primary")
        edge.primary.answer = resets
        answered = await edge.ask("DELETE", DELETES["manifest"])
        assert (answered.status, answered.site) == (503, "none")
        assert json.loads(answered.text)["errors"][0]["message"] == local_reply.UNREACHABLE


async def test_what_the_processor_says_to_a_delete_it_cannot_record_is_kept(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        assert edge.processor is not None
        edge.processor.refusal = (503, '{"errors": ["its own words"]}')
        answered = await edge.ask("DELETE", DELETES["with a query"])
        assert (answered.status, answered.text, answered.headers["retry-after"]) == (
            503,
            '{"errors": ["its own words"]}',
            "7",
        )
        assert answered.headers["content-type"] == "application/json"
        edge.processor.refusal = (401, "who?")
        answered = await edge.ask("DELETE", DELETES["manifest"])
        assert (answered.status, answered.text) == (401, "who?")
        assert edge.primary.seen == edge.admin.seen == []


async def test_other_unseen_requests_reach_the_primary_alone_byte_for_byte(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        for line in OTHERS:
            assert await _ask(edge, line) == 200
        assert edge.primary.lines == OTHERS
        assert edge.admin.seen == edge.secondary.seen == []


async def test_seen_changes_are_not_mirrored(tmp_path: Path) -> None:
    async with system(tmp_path, steer="primary") as edge:
        deletes = [f"DELETE {target}" for name, target in DELETES.items() if not name.startswith("normalized")]
        for line in (*CHANGES, *deletes, *OTHERS):
            assert await _ask(edge, line) == 200
        assert edge.primary.lines == [*CHANGES, *deletes, *OTHERS]
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
