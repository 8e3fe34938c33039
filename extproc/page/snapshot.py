"""All that the status page shows, at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from extproc.page.served import Kind


class Made(NamedTuple):
    """What decisions are counted by."""

    reason: str
    route: str
    operation: str
    would: str
    """The route that mode `serve` would have chosen; empty in mode `serve`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How the parts are, in the words of `/readyz` where it has some."""

    ready: bool
    store: str
    """"ok" or "degraded"."""
    workers: int
    """That serve."""
    workers_wanted: int
    mode: str
    configuration: str
    keys: str
    keys_known: int
    """Names by which the issuer's keys are found; with passthrough none are needed."""
    keys_needed: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """What came in a time."""

    decisions: Counter[Made]
    served: Counter[Kind]
    """As Envoy counts it, also what no worker saw."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Times in seconds since the Unix epoch, durations in seconds."""

    at: float
    since: float
    """When we began to look: the hour is shorter until then."""
    condition: Condition
    minute: Flow
    hour: Flow
    minutes: Sequence[Counter[Made]]
    """The hour's decisions by minute, the oldest first."""
    last: Sequence[Mapping[str, Any]]
    """The latest decisions first (telemetry/journal.py)."""
    workers_answered: int
    envoy: str = ""
    """Empty, or why Envoy does not tell what was served."""
    site: Mapping[str, Any] | None = None
    """The document of `/status`; None before it was first made."""
    site_at: float | None = None
