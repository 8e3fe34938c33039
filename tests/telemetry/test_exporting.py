"""Spans and metrics reach a collector, standard variables have their say, and nobody waits for a collector."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from extproc.settings import SettingsError, Telemetry
from extproc.telemetry.exporting import metric_exporters, span_exporters
from extproc.telemetry.setup import build_telemetry, configure_log
from tests.support.otlp_receiver import OtlpReceiver, plain


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has set."""
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a collector that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


async def _record(settings: Telemetry) -> None:
    """One span and one count, and close."""
    telemetry = build_telemetry(settings)
    telemetry.meter.create_counter("the-counter").add(1)
    telemetry.tracer.start_span("the-span").end()
    await asyncio.to_thread(telemetry.close)


async def test_by_grpc() -> None:
    async with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.grpc_port}"
        await _record(Telemetry(exporter="otlp", otlp_endpoint=endpoint, trace_ratio=1))
    assert [span.name for span in receiver.spans()] == ["the-span"]
    assert "the-counter" in receiver.metric_names()
    resource = plain(receiver.traces[0].resource.attributes)
    assert resource["service.name"] == "geo-extproc"
    assert resource["service.version"]
    assert resource["service.instance.id"]


@pytest.mark.parametrize("path", ["", "/", "/collector"])
async def test_by_http(path: str) -> None:
    async with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.http_port}{path}"
        await _record(
            Telemetry(exporter="otlp", otlp_endpoint=endpoint, otlp_protocol="http/protobuf", trace_ratio=1)
        )
    before = path.rstrip("/")
    assert set(receiver.paths) == {f"{before}/v1/traces", f"{before}/v1/metrics"}
    if not before:
        assert [span.name for span in receiver.spans()] == ["the-span"]
        assert "the-counter" in receiver.metric_names()


async def test_standard_variables_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.http_port}")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        await _record(
            Telemetry(exporter="otlp", otlp_endpoint="http://192.0.2.1:4317", otlp_protocol="grpc", trace_ratio=0)
        )
    assert receiver.paths == ["/v1/traces"]
    assert [span.name for span in receiver.spans()] == ["the-span"]
    resource = plain(receiver.traces[0].resource.attributes)
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("edge", "test")


async def test_of_one_signal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{receiver.http_port}/v1/traces")
        await _record(
            Telemetry(exporter="otlp", otlp_endpoint=f"http://127.0.0.1:{receiver.grpc_port}", trace_ratio=1)
        )
    assert receiver.paths == ["/v1/traces"]
    assert receiver.metrics


def test_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = build_telemetry(Telemetry(exporter="otlp", trace_ratio=1))
    assert not telemetry.tracer.start_span("s").get_span_context().is_valid
    telemetry.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "otlp,jaeger"),
        ("OTEL_METRICS_EXPORTER", "statsd"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} is .*: it must be one of"):
        build_telemetry(Telemetry(exporter="otlp"))


def test_nothing_is_exported_unless_asked() -> None:
    telemetry = build_telemetry(Telemetry())
    assert list(span_exporters(Telemetry(), telemetry.meters)) == []
    assert list(metric_exporters(Telemetry())) == []


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_silent_collector_does_not_keep_us(
    silent: int, protocol: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answer is waited for 10 s by default; the SDK's own end would wait 30."""
    monkeypatch.setattr("extproc.telemetry.setup._CLOSE_WITHIN", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    others = set(threading.enumerate())
    configure_log("info", "json")
    settings = Telemetry.model_validate(
        {
            "exporter": "otlp",
            "otlp_endpoint": f"http://127.0.0.1:{silent}",
            "otlp_protocol": protocol,
            "trace_ratio": 1,
        }
    )
    telemetry = build_telemetry(settings)
    telemetry.tracer.start_span("the-span").end()
    telemetry.close()
    left = set(threading.enumerate()) - others
    assert left, "or it was waited for"
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert "the collector did not take the last spans or metrics; leaving them" in events
    for thread in left:
        thread.join()


async def test_what_could_not_be_sent_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.telemetry.setup._CLOSE_WITHIN", 20)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = {
            "exporter": "otlp",
            "otlp_endpoint": f"http://127.0.0.1:{nobody.getsockname()[1]}",
            "trace_ratio": 1,
            "otlp_protocol": "http/protobuf",
        }
        async with OtlpReceiver() as receiver:
            monkeypatch.setenv(
                "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"http://127.0.0.1:{receiver.http_port}/v1/metrics"
            )
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
            telemetry = build_telemetry(Telemetry.model_validate(settings))
            for _ in range(100):
                telemetry.tracer.start_span("the-span").end()
            await asyncio.to_thread(telemetry.close)
    assert receiver.spans() == []
    lost = receiver.sums("otel.sdk.processor.span.processed", "error.type")
    # The SDK counts one too many where the queue is emptied between its two looks at it.
    assert lost["queue_full"] + lost[None] >= 100
    assert lost["queue_full"] > 0
    assert sum(receiver.sums("otel.sdk.exporter.span.exported", "error.type").values()) == lost[None]


def test_the_environment_is_left_as_it_was() -> None:
    before = dict(os.environ)
    build_telemetry(Telemetry(exporter="otlp")).close()
    assert dict(os.environ) == before
