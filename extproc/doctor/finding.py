"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """From the best to the worst."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be looked at."""
    WARNING = "warning"
    """It works, but is not as it should be, or will not work for long."""
    FAULT = "fault"

    @property
    def severity(self) -> int:
        return list(State).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """What: `primary`, `secondary`, `version`."""
    state: State
    text: str
    """One sentence, without the remedy."""
    remedy: str = ""
    """What to do; empty where all is good."""


def ok(subject: str, text: str) -> Finding:
    return Finding(subject, State.OK, text)


def unknown(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, State.UNKNOWN, text, remedy)


def warning(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, State.WARNING, text, remedy)


def fault(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, State.FAULT, text, remedy)
