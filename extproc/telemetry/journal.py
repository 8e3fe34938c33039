"""What a process decided, for whoever looks at it now: how many by all that is said of them, and the last ones.

It is told of every request, so it keeps what it is given and puts it into words only when asked. The metrics of
decisions, tokens and look-ups, and the status page, are all sums of its counts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from extproc.oci.operation import Kind
from extproc.routing.decision import Forward, Refuse, Route
from extproc.routing.reason import Reason
from extproc.routing.router import Routed
from extproc.telemetry.words import (
    REFUSED,
    decision_words,
    lease_age,
    lookup_word,
    reference_word,
    token_word,
    would_of,
)

_LAST: Final = 50
"""Decisions remembered."""


class Decided(NamedTuple):
    """What is counted of a decision."""

    reason: Reason
    route: Route | None
    """None: refused."""
    kind: Kind
    token: str
    reference: str
    """Empty where no evidence was asked for."""
    found: str
    """What evidence there was; empty likewise."""
    would: tuple[Reason, Route | None, bool] | None
    """What mode `serve` would have decided, where another one is in force, and whether the secondary has it."""

    @property
    def words(self) -> tuple[str, str, str]:
        """Reason, route and operation."""
        return self.reason.word, _route_word(self.route), self.kind.word

    @property
    def would_words(self) -> tuple[str, str, str, bool] | None:
        """Likewise, of what would have been, and whether the secondary has it."""
        if self.would is None:
            return None
        reason, route, present = self.would
        return reason.word, _route_word(route), self.kind.word, present


class Journal:
    """Of one process, from one thread. Others may read."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """`now`: seconds since the Unix epoch."""
        self._now = now
        self._counts: dict[tuple[Any, ...], int] = {}
        """By the fields of `Decided`, which are made one when somebody asks."""
        self._last: deque[tuple[float, Routed]] = deque(maxlen=_LAST)

    def note(self, routed: Routed) -> None:
        decision = routed.decision
        would = None
        route = None
        if isinstance(decision, Forward):
            route = decision.route
            if decision.would is not None:
                would = _forecast(decision.would, decision.would_find)
        asked = routed.evidence is not None
        decided = (
            decision.reason,
            route,
            routed.operation.kind,
            token_word(routed),
            reference_word(routed) if asked else "",
            lookup_word(routed) if asked else "",
            would,
        )
        self._counts[decided] = self._counts.get(decided, 0) + 1
        self._last.append((self._now(), routed))

    def sums(self, by: Callable[[Decided], tuple[str | bool, ...] | None]) -> dict[tuple[str | bool, ...], int]:
        """How many decisions there were, by what `by` makes of them; those that it makes None of are left out."""
        sums: dict[tuple[str | bool, ...], int] = {}
        # A copy: an exporter's thread may read while the process goes on.
        for decided, count in self._counts.copy().items():
            values = by(Decided(*decided))
            if values is not None:
                sums[values] = sums.get(values, 0) + count
        return sums

    def report(self) -> dict[str, Any]:
        """As JSON carries it: `decisions`, a list of reason, route, operation, would-be route and count since the
        start of the process, and `last`, the latest decisions first."""
        return {
            "decisions": [[*words, count] for words, count in self.sums(_reported).items()],
            "last": [_entry(at, routed) for at, routed in reversed(self._last)],
        }


def _forecast(would: Forward | Refuse, present: bool) -> tuple[Reason, Route | None, bool]:
    return would.reason, would.route if isinstance(would, Forward) else None, present


def _route_word(route: Route | None) -> str:
    return REFUSED if route is None else route.word


def _reported(decided: Decided) -> tuple[str, ...]:
    would = decided.would_words
    return (*decided.words, "" if would is None else would[1])


def _entry(at: float, routed: Routed) -> dict[str, Any]:
    operation = routed.operation
    reason, route, kind = decision_words(routed.decision, routed)
    would = would_of(routed.decision)
    return {
        "at": at,
        "method": operation.method,
        "operation": kind,
        "name": None if operation.name is None else str(operation.name),
        "reference": None if operation.reference is None else str(operation.reference),
        "route": route,
        "reason": reason,
        "token": token_word(routed),
        "lease_age": lease_age(routed),
        "would": None if would is None else decision_words(would, routed)[0],
    }
