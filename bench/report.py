"""bench.json for people: tables."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.goals import goals

_COLUMNS: Final = {
    "cpu_us": "CPU µs",
    "cpu_us_1": "CPU µs, 1 connection",
    "added_p50_ms": "p50 +ms, 1",
    "added_p99_ms": "p99 +ms, 1",
    "added_p50_ms_32": "p50 +ms, 32",
    "added_p99_ms_32": "p99 +ms, 32",
}


def show(found: dict[str, Any]) -> None:
    console = Console(width=118)
    if "cpu_us" in found:
        table = Table(title="One exchange, one Envoy worker: CPU of the processor; latency over no processor at all")
        table.add_column("side")
        for title in _COLUMNS.values():
            table.add_column(title, justify="right")
        for side in sorted(found["cpu_us"], key=found["cpu_us"].__getitem__):
            table.add_row(side, *(f"{found[column][side]:.3g}" for column in _COLUMNS))
        console.print(table)
    if "pull_ms" in found:
        table = Table(title="An image of ten layers, pulled by skopeo")
        table.add_column("from")
        table.add_column("ms", justify="right")
        table.add_column("pulls", justify="right")
        for place, took in sorted(found["pull_ms"].items(), key=lambda item: item[1]):
            table.add_row(place.replace("_", " "), f"{took:.0f}", str(found["pulls"][place]))
        console.print(table)
    if "store_sizes" in found:
        table = Table(title="The store as it grows")
        for title in ("digests", "bytes a digest", "look-up µs", "of it in Redis"):
            table.add_column(title, justify="right")
        for size in found["store_sizes"]:
            table.add_row(
                f"{size['digests']:,}",
                f"{size['bytes_per_digest']:.1f}",
                f"{size['lookup_us']:.0f}",
                f"{size['redis_us']:.1f}",
            )
        console.print(table)
    table = Table(title="Goals")
    table.add_column("what")
    for title in ("figure", "goal", ""):
        table.add_column(title, justify="right")
    for goal in goals(found):
        sign = "≥" if goal.at_least else "≤"
        table.add_row(goal.what, f"{goal.figure:.3g}", f"{sign} {goal.bound:.3g}", "met" if goal.met else "missed")
    console.print(table)
