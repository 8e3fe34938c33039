"""Counts leases written and invalidations that drop them, by their cause."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.metrics import Meter

from extproc.telemetry import names
from extproc.telemetry.tally import Tally


class LeaseTally:
    """`of(cause)` is told of what one of the stores of a process does."""

    def __init__(self, meter: Meter) -> None:
        cause = (names.CAUSE,)
        self.written = Tally(meter, names.LEASES_WRITTEN, cause, unit="{lease}", description="Leases written")
        self.dropped = Tally(
            meter, names.LEASES_DROPPED, cause, unit="{invalidation}", description="Invalidations that drop leases"
        )

    def of(self, cause: str) -> LeaseCounts:
        return LeaseCounts(self, cause)


@dataclass(frozen=True, slots=True)
class LeaseCounts:
    tally: LeaseTally
    cause: str

    def written(self) -> None:
        self.tally.written.add(self.cause)

    def dropped(self) -> None:
        self.tally.dropped.add(self.cause)
