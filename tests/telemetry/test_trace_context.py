"""Lines of the log carry the ids of the span that they were written in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import Tracer, format_span_id, format_trace_id

from extproc.telemetry.setup import configure_log
from extproc.telemetry.trace_context import of_caller

IDS = {"trace_id", "span_id", "trace_flags"}


@pytest.fixture
def tracer() -> Tracer:
    return TracerProvider(sampler=ALWAYS_ON).get_tracer("test")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_within_a_span(tracer: Tracer, capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "json")
    log = structlog.get_logger()
    log.info("before")
    with tracer.start_as_current_span("outer") as outer:
        log.info("outer")
        with tracer.start_as_current_span("inner") as inner:
            log.info("inner")
    log.info("after")
    before, first, second, after = lines(capsys)
    for line, span in ((first, outer), (second, inner)):
        context = span.get_span_context()
        assert line["trace_id"] == format_trace_id(context.trace_id)
        assert line["span_id"] == format_span_id(context.span_id)
        assert line["trace_flags"] in {"01", "03"}  # sampled, and perhaps that the id is random (Trace Context 2)
    assert first["trace_id"] == second["trace_id"]
    assert not (before.keys() | after.keys()) & IDS


def test_an_unsampled_span_has_ids_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "json")
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("test").start_as_current_span("span"):
        structlog.get_logger().info("within")
    (line,) = lines(capsys)
    assert line["trace_flags"] in {"00", "02"}
    assert len(line["trace_id"]) == 32


async def test_a_task_that_outlives_its_span_is_not_the_spans(
    tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_log("info", "json")
    ended = asyncio.Event()

    async def outlive() -> None:
        structlog.get_logger().info("within")
        await ended.wait()
        structlog.get_logger().info("after")

    with tracer.start_as_current_span("span"):
        task = asyncio.create_task(outlive())
        await asyncio.sleep(0)
    ended.set()
    await task
    within, after = lines(capsys)
    assert within.keys() >= IDS
    assert not after.keys() & IDS


@pytest.mark.parametrize(
    ("traceparent", "found"),
    [
        pytest.param(f"00-{'a' * 32}-{'b' * 16}-00", ("a" * 32, "b" * 16, "00"), id="unsampled"),
        pytest.param(f"00-{'a' * 32}-{'b' * 16}-01", ("a" * 32, "b" * 16, "01"), id="sampled"),
        pytest.param("", (None, None, None), id="none"),
        pytest.param("Bearer secret", (None, None, None), id="no trace context"),
    ],
)
def test_of_who_called(
    tracer: Tracer, capsys: pytest.CaptureFixture[str], traceparent: str, found: tuple[str | None, ...]
) -> None:
    configure_log("info", "json")
    with tracer.start_as_current_span("another"), of_caller(traceparent):
        structlog.get_logger().info("within")
    (line,) = lines(capsys)
    assert (line.get("trace_id"), line.get("span_id"), line.get("trace_flags")) == found
    assert "secret" not in json.dumps(line)


def test_in_text(tracer: Tracer, capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "text")
    with tracer.start_as_current_span("span") as span:
        structlog.get_logger().info("within")
    assert f"trace_id={format_trace_id(span.get_span_context().trace_id)}" in capsys.readouterr().err
