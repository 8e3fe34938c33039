"""Look-ups that no task waits for, within the budget and behind the breaker of `GuardedStore`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from extproc.evidence.budget import Budget
from extproc.evidence.model import Evidence
from extproc.evidence.store import Asking, Question, StoreUnavailable
from extproc.oci.reference import Digest, Name, Tag

NOT_YET: Final = "back after an outage, but perhaps not yet told of every write"


class Guard(Protocol):
    """Counts what becomes of calls. `probe`: what `allowed` gave for the call."""

    def allowed(self) -> bool:
        """Raises StoreUnavailable where none may be made."""

    def answered(self, probe: bool) -> None: ...
    def broke(self, error: Exception, probe: bool) -> None: ...
    def timed_out(self, probe: bool) -> StoreUnavailable:
        """What to say of it."""

    def believed(self) -> bool:
        """Whether what the store says of evidence counts."""


class GuardedAsking:
    """`Asking`. A client that has gone is not told of, so a probe comes to its end."""

    def __init__(self, inner: Asking, guard: Guard, budget: Budget) -> None:
        self._inner = inner
        self._guard = guard
        self._budget = budget

    def ask(self, name: Name, reference: Tag | Digest, then: Callable[[Evidence | Exception], None]) -> None:
        try:
            probe = self._guard.allowed()
        except StoreUnavailable as error:
            then(error)
            return
        question = _Guarded(self._guard, probe, then)
        question.deadline = self._budget.begin(question)
        question.asked = self._inner.ask(name, reference, question.told)


class _Guarded:
    """One of them: `budget.Bounded`."""

    __slots__ = ("_guard", "_probe", "_then", "asked", "deadline", "over")

    def __init__(self, guard: Guard, probe: bool, then: Callable[[Evidence | Exception], None]) -> None:
        self._guard = guard
        self._probe = probe
        self._then: Callable[[Evidence | Exception], None] | None = then
        self.deadline = 0.0
        self.over = False
        self.asked: Question | None = None

    def told(self, outcome: Evidence | Exception) -> None:
        if self.over:
            return
        self.over = True
        self.asked = None
        if isinstance(outcome, Exception):
            self._guard.broke(outcome, self._probe)
        else:
            self._guard.answered(self._probe)
            if not self._guard.believed():
                outcome = StoreUnavailable(NOT_YET)
        self._tell(outcome)

    def expire(self) -> None:
        self.over = True
        if self.asked is not None:
            self.asked.give_up()
        self._tell(self._guard.timed_out(self._probe))

    def _tell(self, outcome: Evidence | Exception) -> None:
        # Let go of: the budget keeps this until its deadline.
        then, self._then = self._then, None
        if then is not None:
            then(outcome)
