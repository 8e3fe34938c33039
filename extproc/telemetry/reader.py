"""The SDK's readers, which hand on our distributions with what the SDK collected.

A module of its own, for it is not compiled: mypyc must know what a class derives from, and these classes are not
there at a build.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData, PeriodicExportingMetricReader

from extproc.telemetry.distribution import QuickDistributions


class PrometheusReader(PrometheusMetricReader):
    """With distributions of ours."""

    def __init__(self, distributions: QuickDistributions, *arguments: Any, **options: Any) -> None:
        self._distributions = distributions
        super().__init__(*arguments, **options)

    def _receive_metrics(self, metrics_data: MetricsData, *arguments: Any, **options: Any) -> None:
        # What readers are told by: the one method that OpenTelemetry has each of them override.
        super()._receive_metrics(self._distributions.added_to(metrics_data), *arguments, **options)


class PeriodicReader(PeriodicExportingMetricReader):
    """With distributions of ours."""

    def __init__(self, distributions: QuickDistributions, *arguments: Any, **options: Any) -> None:
        self._distributions = distributions
        super().__init__(*arguments, **options)

    def _receive_metrics(self, metrics_data: MetricsData, *arguments: Any, **options: Any) -> None:
        super()._receive_metrics(self._distributions.added_to(metrics_data), *arguments, **options)
