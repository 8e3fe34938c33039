"""A counter for what happens with every request: a dictionary's addition, read when metrics are collected.

The SDK's own counter takes some microseconds for each addition, as much as the decision itself: it makes a set of the
attributes and takes a lock. An asynchronous counter (OpenTelemetry metrics API) tells the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation

Counts = Mapping[tuple[str | bool, ...], int]
"""By the values of a fixed list of attributes, in their order."""


def counter_of(
    counts: Callable[[], Counts], meter: Meter, name: str, attributes: tuple[str, ...], *, unit: str, description: str
) -> None:
    """A counter of what is counted elsewhere. `counts` is called by an exporter's thread."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, dict(zip(attributes, values, strict=True))) for values, count in counts().items()]

    meter.create_observable_counter(name, [observe], unit=unit, description=description)


class Tally:
    """Counts by the values of a fixed list of attributes, from one thread."""

    def __init__(self, meter: Meter, name: str, attributes: tuple[str, ...], *, unit: str, description: str) -> None:
        self._counts: dict[tuple[str | bool, ...], int] = {}
        # A copy: the exporter's thread reads while others add.
        counter_of(self._counts.copy, meter, name, attributes, unit=unit, description=description)

    def add(self, *values: str | bool) -> None:
        """One more with these values, in the order of the attributes."""
        self._counts[values] = self._counts.get(values, 0) + 1
