"""Prometheus' text, of one process and of several in one page."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from extproc.telemetry.distribution import QuickDistributions
from extproc.telemetry.prometheus import Exposition, merged


def exposed(count: int) -> str:
    exposition = Exposition(QuickDistributions())
    meter = MeterProvider([exposition.reader]).get_meter("test")
    meter.create_counter("geo_extproc.decisions", unit="{decision}", description="Decisions").add(
        count, {"geo.reason": 'a "quoted"\nreason\\'}
    )
    meter.create_histogram("geo_extproc.took", unit="s", explicit_bucket_boundaries_advisory=(0.1, 1.0)).record(0.5)
    return exposition.text()


def test_names_and_units_are_prometheus_own() -> None:
    text = exposed(3)
    assert "# TYPE geo_extproc_decisions_total counter" in text
    assert "# HELP geo_extproc_decisions_total Decisions" in text
    assert 'geo_extproc_took_seconds_bucket{le="1.0"} 1.0' in text
    assert "otel_scope" not in text
    assert "target_info" not in text


def test_several_processes_are_told_apart_by_a_label_and_nothing_is_lost() -> None:
    page = merged({"0": exposed(3), "1": exposed(4), "supervisor": exposed(5)}).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert sorted(families) == ["geo_extproc_decisions", "geo_extproc_took_seconds"]
    assert page.count("# TYPE geo_extproc_decisions_total counter") == 1
    counted = {sample.labels["worker"]: sample for sample in families["geo_extproc_decisions"].samples}
    assert {worker: sample.value for worker, sample in counted.items()} == {"0": 3, "1": 4, "supervisor": 5}
    assert counted["0"].labels["geo_reason"] == 'a "quoted"\nreason\\'
    buckets = [sample for sample in families["geo_extproc_took_seconds"].samples if sample.name.endswith("_bucket")]
    assert len(buckets) == 3 * 3


def test_no_process_no_series() -> None:
    assert merged({}) == b""
