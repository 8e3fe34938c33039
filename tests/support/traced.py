"""Work whose spans are kept."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from extproc.telemetry.sampling import HeadSampling
from extproc.telemetry.work import Work


class Traced:
    """`work` makes them."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.work = Work(provider.get_tracer("test"), HeadSampling(parent_based=True))

    @property
    def all(self) -> list[ReadableSpan]:
        """Those that have ended, in that order."""
        return list(self._kept.get_finished_spans())

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The last one of each name."""
        return {span.name: span for span in self.all}
