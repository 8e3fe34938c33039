"""Gauges that are looked at when metrics are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

Attributes = tuple[tuple[str, str], ...]


def gauge(meter: Meter, name: str, look: Callable[[], Mapping[Attributes, float]]) -> None:
    """`look` gives the values now, by their attributes; called in the exporter's thread."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        for attributes, value in look().items():
            yield Observation(value, dict(attributes))

    meter.create_observable_gauge(name, [observe])
