"""Envoy's own spans: where a collector is configured, and as the client's trace context says."""

from __future__ import annotations

from pathlib import Path

import pytest

from extproc.settings import Telemetry
from tests.bootstrap.system import system
from tests.support.otlp_receiver import OtlpReceiver, plain

BLOB = "/v2/a/b/blobs/sha256:1"
TRACE, PARENT = "1" * 32, "2" * 16


@pytest.mark.parametrize(
    ("ratio", "traceparent", "trace"),
    [
        pytest.param(1.0, "", "", id="by chance"),
        pytest.param(0.0, f"00-{TRACE}-{PARENT}-01", TRACE, id="as the client's"),
    ],
)
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_traced(tmp_path: Path, protocol: str, ratio: float, traceparent: str, trace: str) -> None:
    async with OtlpReceiver() as receiver:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
        telemetry = Telemetry.model_validate(
            {
                "exporter": "otlp",
                "otlp_endpoint": f"http://127.0.0.1:{port}",
                "otlp_protocol": protocol,
                "trace_ratio": ratio,
            }
        )
        async with system(tmp_path, steer="secondary", telemetry=telemetry) as edge:
            headers = {"traceparent": traceparent} if traceparent else {}
            assert (await edge.ask("GET", BLOB, headers=headers)).status == 200
            await receiver.until_all(lambda told: len(told.spans()) >= 3)
        spans = receiver.spans()
        assert sorted(span.name.partition(" ")[0] for span in spans) == ["async", "ingress", "router"]
        assert len({span.trace_id for span in spans}) == 1
        if trace:
            assert spans[0].trace_id.hex() == trace
        assert plain(receiver.traces[0].resource.attributes)["service.name"] == "geo-extproc-envoy"
        # The registry gets it too, for spans of its own.
        (seen,) = edge.secondary.seen
        assert seen.headers["traceparent"].split("-")[1] == spans[0].trace_id.hex()


@pytest.mark.parametrize("traceparent", ["", f"00-{TRACE}-{PARENT}-00"])
async def test_not_traced(tmp_path: Path, traceparent: str) -> None:
    """Neither by chance, nor as the client's, nor because the client wishes it."""
    async with OtlpReceiver() as receiver:
        telemetry = Telemetry(
            exporter="otlp", otlp_endpoint=f"http://127.0.0.1:{receiver.grpc_port}", trace_ratio=0.0
        )
        async with system(tmp_path, steer="secondary", telemetry=telemetry) as edge:
            wish = {"x-client-trace-id": "please", "x-envoy-force-trace": "true"}
            await edge.ask("GET", BLOB, headers=wish | ({"traceparent": traceparent} if traceparent else {}))
            # One that is traced, after it: what came before would have come by then.
            await edge.ask("GET", BLOB, headers={"traceparent": f"00-{'3' * 32}-{PARENT}-01"})
            await receiver.until_all(lambda told: len(told.spans()) >= 3)
    assert {span.trace_id.hex() for span in receiver.spans()} == {"3" * 32}
