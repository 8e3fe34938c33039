"""Our histograms tell what the SDK's would."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from prometheus_client import CollectorRegistry, generate_latest

from extproc.telemetry import names
from extproc.telemetry.distribution import (
    Distributions,
    QuickDistributions,
    SdkDistributions,
    quick_will_do,
)
from extproc.telemetry.reader import PeriodicReader, PrometheusReader

BOUNDS = (0.1, 0.5, 1.0)
PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"


def measure(distributions: Distributions) -> None:
    """Values on the bounds, between and beyond them; of two series, and of one without attributes."""
    of_routes = distributions.make("of.routes", ("route", "traced"), BOUNDS, unit="s", description="By route")
    alone = distributions.make("alone", (), BOUNDS, unit="s", description="Alone")
    chance = random.Random(1)
    for value in (0.0, 0.1, 0.5, 1.0, 7.5, *(chance.uniform(0, 2) for _ in range(200))):
        of_routes.record(value, "primary", True)
        of_routes.record(value / 2, "secondary", False)
        alone.record(value)


def points(data: MetricsData | None) -> Iterator[tuple[str, HistogramDataPoint]]:
    assert data is not None
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    if isinstance(point, HistogramDataPoint):
                        yield metric.name, replace(point, start_time_unix_nano=0, time_unix_nano=0)


def by_series(data: MetricsData | None) -> dict[object, HistogramDataPoint]:
    return {(name, *sorted((point.attributes or {}).items())): point for name, point in points(data)}


def test_as_the_sdks_own() -> None:
    sdk_reader, our_reader = InMemoryMetricReader(), InMemoryMetricReader()
    measure(SdkDistributions(MeterProvider([sdk_reader]).get_meter(names.SERVICE)))
    quick = QuickDistributions()
    measure(quick)
    MeterProvider([our_reader]).get_meter(names.SERVICE).create_counter("one").add(1)
    collected = our_reader.get_metrics_data()
    assert collected is not None
    ours, theirs = by_series(quick.added_to(collected)), by_series(sdk_reader.get_metrics_data())
    assert ours.keys() == theirs.keys()
    assert len(ours) == 3
    for series, point in ours.items():
        assert math.isclose(point.sum, theirs[series].sum)
        assert replace(point, sum=0, bucket_counts=tuple(point.bucket_counts)) == replace(
            theirs[series], sum=0, bucket_counts=tuple(theirs[series].bucket_counts)
        )


def test_what_nobody_recorded_is_not_told() -> None:
    reader, quick = InMemoryMetricReader(), QuickDistributions()
    quick.make("never", (), BOUNDS, unit="s", description="Never")
    MeterProvider([reader]).get_meter(names.SERVICE).create_counter("one").add(1)
    collected = reader.get_metrics_data()
    assert collected is not None
    assert quick.added_to(collected) is collected


def test_prometheus_sees_them() -> None:
    pages = []
    for quick in (True, False):
        registry, distributions = CollectorRegistry(), QuickDistributions()
        reader = PrometheusReader(distributions, True, scope_info_enabled=False, registry=registry)
        meter = MeterProvider([reader]).get_meter(names.SERVICE)
        meter.create_counter("one").add(1)
        measure(distributions if quick else SdkDistributions(meter))
        pages.append(sorted(generate_latest(registry).decode().splitlines()))
    ours, theirs = pages
    assert [line for line in ours if "_sum" not in line] == [line for line in theirs if "_sum" not in line]
    assert any(line.startswith('of_routes_seconds_bucket{le="0.5",route="primary"') for line in ours)


def test_an_exporter_gets_them() -> None:
    exported: list[MetricsData] = []

    class Exporter(MetricExporter):
        def export(self, metrics_data: MetricsData, *_: Any, **__: Any) -> MetricExportResult:
            exported.append(metrics_data)
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
            """Nothing is held."""

    quick = QuickDistributions()
    provider = MeterProvider([PeriodicReader(quick, Exporter())])
    provider.get_meter(names.SERVICE).create_counter("one").add(1)
    measure(quick)
    provider.shutdown()
    assert {name for name, _ in points(exported[-1])} == {"of.routes", "alone"}


@pytest.mark.parametrize(
    ("name", "value", "quick"),
    [
        (PREFERENCE, "", True),
        (PREFERENCE, "Cumulative", True),
        (PREFERENCE, "delta", False),
        (PREFERENCE, "lowmemory", False),
        (AGGREGATION, "explicit_bucket_histogram", True),
        (AGGREGATION, "base2_exponential_bucket_histogram", False),
    ],
)
def test_who_asks_for_what_only_the_sdk_has_gets_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, quick: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert quick_will_do() is quick
