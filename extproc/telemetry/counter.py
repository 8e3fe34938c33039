"""Counters that are there, with 0, before anything happened: a series that begins with 1 shows no increase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.metrics import Counter, Meter

_ALONE: Final[Sequence[Mapping[str, str | bool | int]]] = ({},)


def counter(
    meter: Meter,
    name: str,
    *,
    unit: str,
    series: Sequence[Mapping[str, str | bool | int]] = _ALONE,
    description: str = "",
) -> Counter:
    """`series`: the attributes of those that are to be there."""
    made = meter.create_counter(name, unit=unit, description=description)
    for attributes in series:
        made.add(0, dict(attributes))
    return made
