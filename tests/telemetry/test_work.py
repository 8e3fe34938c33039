"""Spans of work in the background, and of its HTTP requests."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from extproc.registry.session import open_session
from extproc.telemetry.work import Work, cause
from tests.registry.server import Server
from tests.support.ports import free_port
from tests.support.traced import Traced

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_piece_of_work_is_a_trace_of_its_own() -> None:
    traced = Traced()
    with traced.work.span("outer"), traced.work.span("inner", {"a": 1}):
        pass
    assert traced.spans["inner"].parent is traced.spans["outer"].parent is None
    assert dict(traced.spans["inner"].attributes or {}) == {"a": 1}


def test_it_is_linked_to_its_cause() -> None:
    traced = Traced()
    with traced.work.span("exchange"):
        seen = cause()
    with traced.work.span("renewal", cause=seen):
        pass
    (link,) = traced.spans["renewal"].links
    assert link.context == traced.spans["exchange"].context
    assert cause() is None


def test_a_caller_s_trace_goes_on() -> None:
    traced = Traced()
    with traced.work.span("taken", traceparent=PARENT, kind=SpanKind.SERVER):
        pass
    span = traced.spans["taken"]
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == PARENT[3:52]


def test_what_is_not_traced_has_no_spans_and_no_children() -> None:
    traced = Traced(ALWAYS_OFF)

    def unasked() -> dict[str, str]:
        raise AssertionError("attributes are made for nothing")

    with traced.work.span("outer"), traced.work.child("inner", unasked):
        assert not get_current_span().is_recording()
    with Work.untraced().span("none"), Work.untraced().child("inner", unasked):
        pass
    with traced.work.span("unsampled", traceparent=PARENT[:-1] + "0"):
        pass
    assert traced.spans == {}


async def test_a_request_is_a_span_and_carries_its_context() -> None:
    traced = Traced()
    seen: list[str | None] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.get("traceparent"))
        return web.Response(status=404 if "missing" in request.raw_path else 200)

    async with Server(answer) as server, await open_session(server.url, None, [traced.work.http()]) as session:
        with traced.work.span("work"):
            await session.get(f"{server.url.replace('//', '//user:password@')}/v2/?scope=secret")
        good = traced.spans["GET"]
        with traced.work.span("work"):
            await session.head(f"{server.url}/missing")
        await session.get(server.url)
    port = int(server.url.rpartition(":")[2])
    assert dict(good.attributes or {}) == {
        "http.request.method": "GET",
        "url.full": f"{server.url}/v2/",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
    }
    assert good.kind is SpanKind.CLIENT
    assert good.context is not None
    assert (seen[0] or "")[:52] == f"00-{good.context.trace_id:032x}-{good.context.span_id:016x}"
    bad = traced.spans["HEAD"]
    assert (bad.attributes or {})["error.type"] == "404"
    assert bad.status.status_code is StatusCode.ERROR
    assert seen[2] is None, "outside of traced work nothing is added"
    assert [span for span in traced.spans.values() if span.name == "GET"] == [good]


async def test_a_request_that_fails() -> None:
    traced = Traced()
    url = f"http://127.0.0.1:{free_port()}"
    async with await open_session(url, None, [traced.work.http()]) as session:
        with traced.work.span("work"), pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
    assert (traced.spans["GET"].attributes or {})["error.type"] == "ClientConnectorError"
