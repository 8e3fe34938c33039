"""A collector for tests: takes OTLP by gRPC (opentelemetry-proto's own services) and by HTTP, and keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes whose values are no lists or maps."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


class OtlpReceiver(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    """`async with OtlpReceiver() as receiver`."""

    def __init__(self) -> None:
        self.traces: list[ResourceSpans] = []
        self.metrics: list[Any] = []
        """ResourceMetrics."""
        self.paths: list[str] = []
        """Of requests by HTTP."""
        self._came = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._grpc = grpc.aio.server()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._grpc)  # type: ignore[no-untyped-call]
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self, self._grpc)  # type: ignore[no-untyped-call]
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        await self._grpc.start()
        application = web.Application()
        application.router.add_post("/{rest:.*}", self._post)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.http_port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._grpc.stop(None)

    def spans(self) -> list[Span]:
        return [span for each in self.traces for scope in each.scope_spans for span in scope.spans]

    def metric_names(self) -> set[str]:
        return {metric.name for each in self.metrics for scope in each.scope_metrics for metric in scope.metrics}

    def sums(self, name: str, attribute: str) -> dict[Any, int]:
        """Of a counter, as last told, by the value of an attribute (None where it has none)."""
        found: dict[Any, int] = {}
        for each in self.metrics:
            for scope in each.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        points = metric.sum.data_points
                        found |= {plain(point.attributes).get(attribute): point.as_int for point in points}
        return found

    async def until(self, more: int) -> None:
        """Spans, beside those that are here."""
        wanted = len(self.spans()) + more
        await self.until_all(lambda _: len(self.spans()) >= wanted)

    async def until_all(self, there: Callable[[Self], bool]) -> None:
        """Looked at whenever something has come."""
        async with asyncio.timeout(30), self._came:
            await self._came.wait_for(lambda: there(self))

    async def _take(self, request: Any) -> Any:
        async with self._came:
            if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
                self.traces.extend(request.resource_spans)
                answer: Any = trace_service_pb2.ExportTraceServiceResponse()
            else:
                self.metrics.extend(request.resource_metrics)
                answer = metrics_service_pb2.ExportMetricsServiceResponse()
            self._came.notify_all()
        return answer

    async def Export(self, request: Any, context: Any) -> Any:
        """Both services call it so."""
        return await self._take(request)

    async def _post(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        kinds: dict[str, Any] = {
            "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
            "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
        }
        if request.path not in kinds:
            return web.Response(status=404)
        answer = await self._take(kinds[request.path].FromString(await request.read()))
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")
