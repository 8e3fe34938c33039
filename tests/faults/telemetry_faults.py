"""Of the collector that spans and metrics are sent to. Nobody must notice; afterwards it gets them again."""

from __future__ import annotations

from typing import Final

from tests.faults.fault import Act, Fault
from tests.faults.relay import Mode
from tests.faults.rig import Rig, until


def _become(mode: Mode) -> Act:
    async def act(rig: Rig) -> None:
        before = rig.collector.troubled
        rig.collector.become(mode)

        async def is_felt() -> bool:
            return rig.collector.troubled > before

        await until(f"an exporter meets a collector that is {mode}", is_felt)

    return act


async def _back(rig: Rig) -> None:
    rig.collector.become("passing")
    await rig.receiver.until(1)


TELEMETRY_FAULTS: Final = (
    Fault("collector resets connections", _become("resetting"), _back),
    Fault("collector says nothing", _become("dropping"), _back),
)
