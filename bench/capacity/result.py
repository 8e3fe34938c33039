"""What a run found, as it is kept in build/capacity.json. The two halves may come from two runs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.capacity.cost import Cost
from bench.capacity.day import Day
from bench.capacity.fill import Memory
from bench.capacity.sizing import Sizing

Row = dict[str, Any]


def machine() -> Row:
    """What it ran on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {"cpus": os.cpu_count(), "cpu": model, "python": platform.python_version()}


def day_row(day: Day) -> Row:
    workload = day.workload
    return {
        "names": workload.names,
        "zipf": workload.zipf,
        "push_zipf": workload.push_zipf,
        "lag_median": workload.lag_median,
        "seed": workload.seed,
        "notifications": day.notifications,
        "store": day.store,
        "names_simulated": day.names_simulated,
        "requests_simulated": day.requests_simulated,
        "seconds": day.seconds,
        **day.books.as_json(),
    }


def store_row(memory: Memory, costs: dict[str, Cost], sized: Sizing) -> Row:
    return {
        "names": memory.names,
        "memory": {
            **asdict(memory),
            "per_name": memory.per_name,
            "per_lease": memory.per_lease,
            "per_digest": memory.per_digest,
        },
        "costs": {kind: asdict(cost) for kind, cost in costs.items()},
        "sizing": asdict(sized),
    }


def read(file: Path) -> Row:
    """Empty where there is none yet."""
    found: Row = json.loads(file.read_text()) if file.exists() else {}
    return found


def write(file: Path, result: Row) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")
