"""A pull is one trace for each of its requests: Envoy's span, ours below it with the store's, and the upstream's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.semconv._incubating.attributes import rpc_attributes
from opentelemetry.semconv.attributes import db_attributes, http_attributes

from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox
from tests.support.otlp_receiver import OtlpReceiver, plain
from tests.support.shell import NAME, Shell

pytestmark = [pytest.mark.e2e]

EXCHANGE = "envoy.service.ext_proc.v3.ExternalProcessor/Process"
CONVENTIONS = {
    value
    for module in (rpc_attributes, db_attributes, http_attributes)
    for key, value in vars(module).items()
    if key.isupper() and isinstance(value, str)
}
"""Names of attributes that OpenTelemetry has for what we do."""


@pytest.fixture
def short_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="geo-", dir="/tmp") as folder:
        yield folder


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_one_podman_pull(tmp_path: Path, short_folder: str, protocol: str) -> None:
    async with OtlpReceiver() as receiver:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port
        telemetry = {
            "exporter": "otlp",
            "otlp_endpoint": f"http://127.0.0.1:{port}",
            "otlp_protocol": protocol,
            "trace_ratio": 1.0,
        }
        async with Sandbox(workers=2, settings={"telemetry": telemetry}) as sandbox:
            shell = Shell(tmp_path, sandbox)
            write_image(shell.folder / "image", "traced", [content(50_000, 3)])
            await shell.run(
                *("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", "admin:admin"),
                *("oci:image:traced", f"docker://{shell.registry}/{NAME}:traced"),
            )
            await shell.replicate("traced")
            podman = ("podman", *shell.storage(short_folder))
            await shell.run(*podman, "login", "--tls-verify=false", "-u", "reader", "-p", "reader", shell.registry)
            await shell.run(*podman, "pull", "--quiet", "--tls-verify=false", f"{shell.registry}/{NAME}:traced")
            # The processor's last spans come when it ends, Envoy's within five seconds.
            await sandbox.stop("extproc")
            await receiver.until_all(_complete)
    assert _services(receiver) == {"geo-extproc", "geo-extproc-envoy"}
    layer = next(
        span
        for span in _named(receiver, EXCHANGE)
        if plain(span.attributes)["geo.operation"] == "blob" and plain(span.attributes)["geo.route"] == "secondary"
    )
    told = plain(layer.attributes)
    assert told["geo.repository"] == NAME
    assert told["geo.reference"] == "digest"
    assert told["geo.token"] == "verified"
    assert told["geo.reason"] in {"digest-present", "digest-unknown"}
    assert {name for name in told if not name.startswith("geo.")} <= CONVENTIONS
    # Ours is below Envoy's call of us, which is below Envoy's of the client's request, as the upstream's is.
    by_id = {span.span_id: span for span in receiver.spans()}
    call = by_id[layer.parent_span_id]
    ingress = by_id[call.parent_span_id]
    assert (call.kind, ingress.kind) == (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER)
    assert ingress.parent_span_id == b""
    below = [span for span in by_id.values() if span.parent_span_id == ingress.span_id]
    assert any(plain(span.attributes).get("http.status_code") == "200" for span in below)
    (asked,) = [span for span in by_id.values() if span.parent_span_id == layer.span_id and span.name == "decide"]
    assert asked.kind == Span.SPAN_KIND_CLIENT
    assert plain(asked.attributes) == {"db.system.name": "redis", "db.operation.name": "decide"}
    assert set(plain(asked.attributes)) <= CONVENTIONS
    pushes = _named(receiver, "POST /notifications/primary")
    assert {span.kind for span in pushes} == {Span.SPAN_KIND_SERVER}
    below_pushes = {span.name for span in by_id.values() if span.parent_span_id in {each.span_id for each in pushes}}
    assert below_pushes == {"primary_changed"}
    tag = next(span for span in _named(receiver, EXCHANGE) if plain(span.attributes).get("geo.reference") == "tag")
    (observed,) = [
        span for span in by_id.values() if span.parent_span_id == tag.span_id and span.name == "geo_extproc.observe"
    ]
    assert plain(observed.attributes) == {
        "geo.site": "primary",
        "geo.attempts": 1,
        "http.response.status_code": 200 if plain(tag.attributes)["geo.reason"] != "write" else 201,
    }


def _named(receiver: OtlpReceiver, name: str) -> list[Span]:
    return [span for span in receiver.spans() if span.name == name]


def _services(receiver: OtlpReceiver) -> set[str]:
    return {plain(each.resource.attributes)["service.name"] for each in receiver.traces}


def _complete(receiver: OtlpReceiver) -> bool:
    """Every span's parent has come, and each of ours has one."""
    known = {span.span_id for span in receiver.spans()}
    ours = _named(receiver, EXCHANGE)
    return bool(ours) and all(span.parent_span_id in known for span in receiver.spans() if span.parent_span_id)
