"""Metrics in Prometheus' text format, of this process and of several in one page.

Each series has the label `worker`: its number, or `supervisor`. Sum over it for the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from extproc.telemetry.distribution import QuickDistributions
from extproc.telemetry.reader import PrometheusReader

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
WORKER: Final = "worker"


class Exposition:
    """Of one process."""

    def __init__(self, distributions: QuickDistributions) -> None:
        self._registry = CollectorRegistry()
        self.reader = PrometheusReader(distributions, True, scope_info_enabled=False, registry=self._registry)

    def text(self) -> str:
        """As it is now."""
        return generate_latest(self._registry).decode()


def merged(pages: Mapping[str, str]) -> bytes:
    """One page of several, by the value of `worker`; a family that several have is there once."""
    families: dict[str, Metric] = {}
    for worker, page in pages.items():
        for family in text_string_to_metric_families(page):
            into = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            into.samples += [sample._replace(labels={WORKER: worker, **sample.labels}) for sample in family.samples]
    return generate_latest(_Collected(families.values()))


class _Collected(CollectorRegistry):
    """What was collected elsewhere."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
