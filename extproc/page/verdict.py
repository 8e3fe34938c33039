"""A snapshot in sentences: what works, what does not, and what to do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from extproc.page.snapshot import Made, Snapshot
from extproc.routing.reason import Reason
from extproc.status.words import span

_LONG: Final = 900.0
"""Seconds that a push may be awaited before it is called late."""
_PULLS: Final = frozenset({"blob", "manifest"})
_NO_PULLS: Final = frozenset({Reason.PUSH_TOKEN.value, Reason.POSSIBLE_PUSH.value})
"""Reads of pushes: they belong to the primary."""


class Level(IntEnum):
    """The worst one is the page's."""

    GOOD = 0
    NOTE = 1
    WARNING = 2
    FAULT = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and where something is to be done another one that says what."""

    level: Level
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Pulls:
    """Reads of manifests and blobs that no push made, by where they were sent."""

    here: int
    primary: int
    would: int
    """That mode `serve` would have sent here."""

    @property
    def all(self) -> int:
        return self.here + self.primary

    @property
    def share(self) -> float | None:
        return self.here / self.all if self.all else None

    @property
    def would_share(self) -> float | None:
        return self.would / self.all if self.all else None


def pulls(decisions: Counter[Made]) -> Pulls:
    found: Counter[str] = Counter()
    for made, count in decisions.items():
        if made.operation in _PULLS and made.reason not in _NO_PULLS:
            here = made.route in {"secondary", "local"}
            found["here" if here else "refused" if made.route == "refused" else "primary"] += count
            found["would"] += count if made.would == "secondary" else 0
    return Pulls(found["here"], found["primary"], found["would"])


def verdict(now: Snapshot) -> list[Finding]:
    """The worst first; never empty."""
    found = [*_workers(now), *_store(now), *_keys(now), *_configuration(now), *_behind(now), *_envoy(now)]
    if not found:
        found.append(Finding(Level.GOOD, "Everything works."))
    found += _mode(now)
    return sorted(found, key=lambda finding: -finding.level)


def _workers(now: Snapshot) -> Iterator[Finding]:
    condition = now.condition
    if condition.workers == 0:
        yield Finding(
            Level.FAULT,
            "No worker serves: Envoy sends every request to the primary.",
            "See the log of geo-extproc serve.",
        )
    elif condition.workers < condition.workers_wanted:
        yield Finding(
            Level.WARNING,
            f"{condition.workers} of {condition.workers_wanted} workers serve.",
            "The others are being started; if that lasts, see the log for why they end.",
        )
    elif now.workers_answered < condition.workers:
        yield Finding(
            Level.WARNING,
            f"{condition.workers - now.workers_answered} of {condition.workers} workers did not answer: their "
            "figures are missing here.",
            "A worker that was stopped or hangs is restarted with SIGUSR2 to the supervisor.",
        )


def _store(now: Snapshot) -> Iterator[Finding]:
    if now.condition.store != "ok":
        yield Finding(
            Level.FAULT,
            "The store is away: every read goes to the primary until it is back.",
            "Start it, or correct the store table; nothing needs a restart here.",
        )
    elif now.site is not None and not now.site["store"]["available"]:
        yield Finding(Level.WARNING, f"The store does not tell the site's figures: {now.site['store']['detail']}.")


def _keys(now: Snapshot) -> Iterator[Finding]:
    condition = now.condition
    detail = "" if condition.keys == "ok" else f" ({condition.keys})"
    if condition.keys_needed and not condition.keys_known:
        yield Finding(
            Level.FAULT,
            f"No key of the token issuer is known: every token is the primary's to judge, and it serves{detail}.",
            "See that auth.keys_url can be reached, or give auth.keys.",
        )
    elif detail:
        yield Finding(
            Level.WARNING,
            f"The issuer's keys could not be fetched again, so the last good ones are in use{detail}.",
            "See that auth.keys_url can be reached from here.",
        )


def _configuration(now: Snapshot) -> Iterator[Finding]:
    if now.condition.configuration != "ok":
        yield Finding(Level.WARNING, f"Configuration: {now.condition.configuration}.")


def _behind(now: Snapshot) -> Iterator[Finding]:
    evidence: Any = None if now.site is None else now.site["evidence"]
    if evidence is not None and evidence["awaited"] and evidence["longest_wait"] > _LONG:
        yield Finding(
            Level.WARNING,
            f"Replication is behind: {evidence['awaited']} pushed manifests are not here yet, the oldest for "
            f"{span(evidence['longest_wait'])}. They are pulled from the primary meanwhile.",
            "See Geo's replication of container repositories at this site.",
        )


def _envoy(now: Snapshot) -> Iterator[Finding]:
    if now.envoy:
        yield Finding(Level.NOTE, f"What each site served is not known: {now.envoy}.")


def _mode(now: Snapshot) -> Iterator[Finding]:
    seen = pulls(now.hour.decisions)
    match now.condition.mode:
        case "promoted":
            yield Finding(Level.NOTE, "This site is the primary: its own registry answers everything.")
        case "serve":
            if not seen.all:
                yield Finding(Level.NOTE, "Nothing was pulled in the last hour.")
        case mode:
            would = (
                "" if seen.would_share is None else f" Mode serve would send {seen.would_share:.0%} of pulls here."
            )
            yield Finding(Level.NOTE, f"Mode {mode}: every request goes to the primary.{would}")
