"""A run's figures as tables on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from bench.capacity.result import Row
from bench.capacity.traffic import reasons_of_reads

Column = tuple[str, Callable[[Row], str]]


def percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def micros(seconds: float) -> str:
    return f"{seconds * 1e6:.0f}"


def show(console: Console, result: Row) -> None:
    """All that there is."""
    days, stores = result.get("days", []), result.get("stores", [])
    if days:
        console.print(_table("A day: who answers", days, _SHARES))
        console.print(_table("Reads by reason, share of all reads", days, _REASONS))
        console.print(_table("… of those, answered by the primary", days, _AT_PRIMARY))
    if stores:
        console.print(_table("CPU of router and store, and of Redis", stores, _CPU))
        console.print(_table("Each kind of exchange: µs of router and store / µs of Redis", stores, _KINDS))
        console.print(_table("Memory of Redis, bytes of each part", stores, _MEMORY))
        console.print(_table("Network, at the rates of the workload all day", stores, _NETWORK))


def _table(title: str, rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading, _ in columns:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(cell(row) for _, cell in columns))
    return table


def _of_day() -> list[Column]:
    return [
        ("names", lambda row: f"{row['names']:,}"),
        ("Zipf", lambda row: f"{row['zipf']:.1f}"),
        ("pushes'", lambda row: f"{row['push_zipf']:.1f}"),
        ("lag", lambda row: f"{row['lag_median']:.0f} s"),
        ("notified", lambda row: "yes" if row["notifications"] else "no"),
        ("seed", lambda row: str(row["seed"])),
    ]


def _reason(reason: str, key: str) -> Column:
    return reason, lambda row: percent(row[key].get(reason, 0.0) / row["reads"])


def _kind(kind: str) -> Column:
    return kind, lambda row: f"{micros(row['costs'][kind]['cpu'])} / {micros(row['costs'][kind]['redis_cpu'])}"


_NAMES: Column = ("names", lambda row: f"{row['names']:,}")
_SHARES: Sequence[Column] = [
    *_of_day(),
    ("store", lambda row: row["store"]),
    ("reads here", lambda row: percent(row["local_share"])),
    ("bytes here", lambda row: percent(row["local_bytes_share"])),
    ("fell back", lambda row: percent(row["fell_back"] / row["reads"])),
    ("old tags", lambda row: f"{row['stale'] / row['reads'] * 1e6:,.0f} ppm"),
    ("names simulated", lambda row: f"{row['names_simulated']:,}"),
    ("requests", lambda row: f"{row['requests_simulated']:,}"),
    ("took", lambda row: f"{row['seconds']:.0f} s"),
]
_REASONS: Sequence[Column] = [*_of_day(), *(_reason(reason, "reasons") for reason in reasons_of_reads())]
_AT_PRIMARY: Sequence[Column] = [*_of_day(), *(_reason(reason, "at_primary") for reason in reasons_of_reads())]
_CPU: Sequence[Column] = [
    _NAMES,
    ("µs a request", lambda row: micros(row["sizing"]["cpu"])),
    ("cores", lambda row: f"{row['sizing']['cores']:.2f}"),
    ("Redis, µs a request", lambda row: micros(row["sizing"]["redis_cpu"])),
    ("Redis, cores", lambda row: f"{row['sizing']['redis_cores']:.2f}"),
    ("commands a request", lambda row: f"{row['sizing']['redis_commands']:.2f}"),
    ("… inside scripts", lambda row: f"{row['sizing']['redis_inner']:.1f}"),
    ("bytes to and from Redis", lambda row: f"{row['sizing']['redis_wire']:,.0f}"),
]
_KINDS: Sequence[Column] = [
    _NAMES,
    *(
        _kind(each)
        for each in (
            "tag",
            "tag, learned",
            "digest",
            "digest, learned",
            "write",
            "no look-up",
            "notification",
            "token",
        )
    ),
]
_MEMORY: Sequence[Column] = [
    _NAMES,
    ("leases", lambda row: f"{row['sizing']['day_leases']:,}"),
    ("digests", lambda row: f"{row['sizing']['day_digests']:,}"),
    ("a name", lambda row: f"{row['memory']['per_name']:.0f}"),
    ("a lease", lambda row: f"{row['memory']['per_lease']:.0f}"),
    ("a digest", lambda row: f"{row['memory']['per_digest']:.0f}"),
    ("a day", lambda row: f"{row['sizing']['memory_day'] / 1e6:,.0f} MB"),
    ("a week", lambda row: f"{row['sizing']['memory_week'] / 1e6:,.0f} MB"),
]
_NETWORK: Sequence[Column] = [
    _NAMES,
    ("reads' WAN without", lambda row: f"{row['sizing']['wan_without'] / 1e9:.1f} Gbit/s"),
    ("… with", lambda row: f"{row['sizing']['wan_with'] / 1e9:.1f} Gbit/s"),
    ("pushes", lambda row: f"{row['sizing']['wan_pushes'] / 1e9:.1f} Gbit/s"),
    ("replication", lambda row: f"{row['sizing']['wan_replication'] / 1e9:.1f} Gbit/s"),
    ("saved a day", lambda row: f"{row['sizing']['wan_saved'] / 1e12:,.0f} TB"),
]
