"""A counter for what happens with every request: a dictionary's addition, read when metrics are collected.

The SDK's own counter takes some microseconds for each addition, as much as the decision itself: it makes a set of the
attributes and takes a lock. An asynchronous counter (OpenTelemetry metrics API) tells the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation


class Tally:
    """Counts by the values of a fixed list of attributes, from one thread."""

    def __init__(self, meter: Meter, name: str, attributes: tuple[str, ...], *, unit: str, description: str) -> None:
        self._attributes = attributes
        self._counts: dict[tuple[str | bool, ...], int] = {}
        meter.create_observable_counter(name, [self._observe], unit=unit, description=description)

    def add(self, *values: str | bool) -> None:
        """One more with these values, in the order of the attributes."""
        self._counts[values] = self._counts.get(values, 0) + 1

    def _observe(self, options: CallbackOptions) -> Iterable[Observation]:
        # A copy: the exporter's thread reads while others add.
        for values, count in self._counts.copy().items():
            yield Observation(count, dict(zip(self._attributes, values, strict=True)))
