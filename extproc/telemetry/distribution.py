"""Histograms for what happens with every request: a list's addition, read when metrics are collected.

The SDK's own histogram takes some 10 µs for each measurement, as much as the decision that is measured; an
asynchronous one, as `Tally` is for counters, OpenTelemetry's metrics API does not have. So ours are added to what
the SDK has collected, in its own public form of a histogram, on the way to each exporter.

Where OpenTelemetry's variables ask for another temporality, or for exponential buckets, the SDK's are used, for ours
know neither.
"""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from opentelemetry.metrics import Histogram as SdkHistogram
from opentelemetry.metrics import Meter
from opentelemetry.sdk import environment_variables as variables
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ScopeMetrics,
)

from extproc.telemetry import names

_PLAIN: Final = {
    variables.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: "cumulative",
    variables.OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: "explicit_bucket_histogram",
}


class Distribution(Protocol):
    """Measurements by the values of a fixed list of attributes, from one thread."""

    def record(self, value: float, *values: str | bool) -> None:
        """One more with these values, in the order of the attributes."""


class Distributions(Protocol):
    """Makes them."""

    def make(
        self, name: str, attributes: tuple[str, ...], bounds: Sequence[float], *, unit: str, description: str
    ) -> Distribution:
        """`bounds`: of the buckets, each with its upper one."""


class _Row:
    __slots__ = ("buckets", "count", "highest", "lowest", "total")

    def __init__(self, buckets: int) -> None:
        self.buckets = [0] * buckets
        self.count = 0
        self.total = 0.0
        self.lowest, self.highest = math.inf, -math.inf


class _Quick:
    def __init__(
        self, name: str, attributes: tuple[str, ...], bounds: Sequence[float], *, unit: str, description: str
    ) -> None:
        self._name, self._unit, self._description = name, unit, description
        self._attributes = attributes
        self._bounds = tuple(bounds)
        self._rows: dict[tuple[str | bool, ...], _Row] = {}
        self._began = time.time_ns()

    def record(self, value: float, *values: str | bool) -> None:
        row = self._rows.get(values)
        if row is None:
            row = self._rows[values] = _Row(len(self._bounds) + 1)
        row.buckets[bisect_left(self._bounds, value)] += 1
        row.count += 1
        row.total += value
        row.lowest = min(row.lowest, value)
        row.highest = max(row.highest, value)

    def metric(self, now: int) -> Metric:
        """`now` in nanoseconds since the Unix epoch."""
        # A copy of each: the exporter's thread reads while others record. The count is that of the copy.
        points = [
            HistogramDataPoint(
                attributes=dict(zip(self._attributes, values, strict=True)),
                start_time_unix_nano=self._began,
                time_unix_nano=now,
                count=sum(buckets := row.buckets.copy()),
                sum=row.total,
                bucket_counts=buckets,
                explicit_bounds=self._bounds,
                min=row.lowest,
                max=row.highest,
            )
            for values, row in self._rows.copy().items()
        ]
        return Metric(self._name, self._description, self._unit, Histogram(points, AggregationTemporality.CUMULATIVE))


class QuickDistributions:
    """Those of one process."""

    def __init__(self) -> None:
        self._made: list[_Quick] = []

    def make(
        self, name: str, attributes: tuple[str, ...], bounds: Sequence[float], *, unit: str, description: str
    ) -> Distribution:
        made = _Quick(name, attributes, bounds, unit=unit, description=description)
        self._made.append(made)
        return made

    def added_to(self, data: MetricsData) -> MetricsData:
        """What was collected, with these among the metrics of our own scope."""
        now = time.time_ns()
        metrics = [metric for made in self._made if (metric := made.metric(now)).data.data_points]
        if not metrics:
            return data

        def extended(scope: ScopeMetrics) -> ScopeMetrics:
            return replace(scope, metrics=[*scope.metrics, *metrics]) if scope.scope.name == names.SERVICE else scope

        return replace(
            data,
            resource_metrics=[
                replace(resource, scope_metrics=[extended(scope) for scope in resource.scope_metrics])
                for resource in data.resource_metrics
            ],
        )


class _Sdk:
    def __init__(self, histogram: SdkHistogram, attributes: tuple[str, ...]) -> None:
        self._histogram = histogram
        self._attributes = attributes

    def record(self, value: float, *values: str | bool) -> None:
        self._histogram.record(value, dict(zip(self._attributes, values, strict=True)))


class SdkDistributions:
    """The SDK's own."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def make(
        self, name: str, attributes: tuple[str, ...], bounds: Sequence[float], *, unit: str, description: str
    ) -> Distribution:
        histogram = self._meter.create_histogram(
            name, unit=unit, description=description, explicit_bucket_boundaries_advisory=bounds
        )
        return _Sdk(histogram, attributes)


def quick_will_do() -> bool:
    """Whether no variable asks for what only the SDK's histograms are."""
    return all(os.environ.get(name, "").lower() in {"", plain} for name, plain in _PLAIN.items())
