"""A snapshot as the templates want it: numbers in words, bars in heights. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from extproc.page.meaning import meaning
from extproc.page.served import Kind
from extproc.page.snapshot import Flow, Made, Snapshot
from extproc.page.verdict import Finding, Pulls, pulls, verdict
from extproc.telemetry.words import REFUSED

HEIGHT: Final = 100
"""Of the chart, in its own units."""
_PLACES: Final = ("here", "primary", "refused")


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute of the chart."""

    ago: int
    """Minutes: 0 is the last one."""
    counts: dict[str, int]
    """By place: here, primary, refused (answered by the processor itself)."""
    parts: tuple[tuple[str, float, float], ...]
    """Place, top and height of each part that has one."""


@dataclass(frozen=True, slots=True)
class ReasonRow:
    reason: str
    meaning: str
    place: str
    minute: int
    hour: int
    share: float
    """Of the hour's decisions."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """What was sent to clients, by Envoy's account."""

    here: int
    primary: int
    redirected: int
    """Requests answered with a redirect by either site: their bytes came from elsewhere."""
    requests: int

    @property
    def share(self) -> float | None:
        return self.here / (self.here + self.primary) if self.here + self.primary else None


@dataclass(frozen=True, slots=True)
class View:
    """What the templates see."""

    now: Snapshot
    findings: list[Finding]
    pulls_hour: Pulls
    pulls_minute: Pulls
    bytes_hour: Bytes
    requests_hour: int
    requests_minute: int
    looked: float
    """Seconds that the hour has had so far."""
    bars: list[Bar]
    most: int
    """Of the bars' sums."""
    reasons: list[ReasonRow]
    last: list[dict[str, Any]]


def view(now: Snapshot) -> View:
    bars = list(_bars(now.minutes))
    return View(
        now=now,
        findings=verdict(now),
        pulls_hour=pulls(now.hour.decisions),
        pulls_minute=pulls(now.minute.decisions),
        bytes_hour=_bytes(now.hour.served),
        requests_hour=now.hour.decisions.total(),
        requests_minute=now.minute.decisions.total(),
        looked=min(now.at - now.since, 3600.0),
        bars=bars,
        most=max((sum(bar.counts.values()) for bar in bars), default=0),
        reasons=list(_reasons(now.minute, now.hour)),
        last=[dict(entry) | {"place": place(entry["route"]), "clock": _clock(entry["at"])} for entry in now.last],
    )


def place(route: str) -> str:
    """Where a route leads first."""
    return "here" if route in {"secondary", "local"} else REFUSED if route == REFUSED else "primary"


def _bars(minutes: Iterable[Counter[Made]]) -> Iterator[Bar]:
    counted: list[Counter[str]] = []
    for minute in minutes:
        places: Counter[str] = Counter()
        for made, count in minute.items():
            places[place(made.route)] += count
        counted.append(places)
    most = max((places.total() for places in counted), default=0)
    for index, places in enumerate(counted):
        parts, top = [], float(HEIGHT)
        for name in _PLACES:
            if places[name]:
                height = HEIGHT * places[name] / most
                top -= height
                parts.append((name, round(top, 2), round(height, 2)))
        yield Bar(len(counted) - 1 - index, {name: places[name] for name in _PLACES}, tuple(parts))


def _reasons(minute: Flow, hour: Flow) -> Iterator[ReasonRow]:
    lately, all_of_them = _by_reason(minute), _by_reason(hour)
    total = all_of_them.total()
    for (reason, where), count in all_of_them.most_common():
        yield ReasonRow(reason, meaning(reason), where, lately[reason, where], count, count / total)


def _by_reason(flow: Flow) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for made, count in flow.decisions.items():
        found[made.reason, place(made.route)] += count
    return found


def _bytes(served: Counter[Kind]) -> Bytes:
    sums: Counter[str] = Counter()
    for kind, count in served.items():
        if kind.unit == "requests":
            sums["requests"] += count
            sums["redirected"] += count if kind.redirect else 0
        elif not kind.redirect:
            sums[kind.site] += count
    return Bytes(sums["secondary"], sums["primary"], sums["redirected"], sums["requests"])


def _clock(at: float) -> str:
    """UTC, as the logs have it."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
