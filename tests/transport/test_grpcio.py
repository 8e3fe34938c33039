"""What grpc does by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import structlog

from extproc.transport.grpcio import GrpcioServer
from tests.transport.test_conformance import Scripted

INTERNAL = grpc.StatusCode.INTERNAL


@dataclass
class Ending:
    """The context of a stream that grpc ends with an error of its own, as it may when the server stops."""

    aborted: list[grpc.StatusCode] = field(default_factory=list)

    def invocation_metadata(self) -> None:
        return None

    def done(self) -> bool:
        return False

    async def read(self) -> bytes:
        raise grpc.aio.BaseError

    async def abort(self, code: grpc.StatusCode, detail: str) -> None:
        self.aborted.append(code)


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_stream_that_grpc_ends_is_no_fault_once_the_server_stops(tmp_path: Path, stopped: bool) -> None:
    server = GrpcioServer(f"unix:{tmp_path}/w.sock", Scripted().stream, max_streams=5)
    await server.start()
    if stopped:
        await server.stop(grace=0)
    context = Ending()
    with structlog.testing.capture_logs() as logs:
        await server._process(None, context)
    assert (logs, context.aborted) == ([], []) if stopped else (len(logs), context.aborted) == (1, [INTERNAL])
    await server.stop(grace=0)
