"""How far the operator lets the decision go (docs/rollout.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from extproc.oci.name_pattern import NamePattern
from extproc.oci.reference import Name
from extproc.oci.word import Word
from extproc.routing.reason import Reason


class Mode(Word):
    """What becomes of a decision."""

    SERVE = "serve"
    """It is carried out."""
    OBSERVE = "observe"
    """It is made and recorded; the primary answers and judges."""
    PRIMARY_ONLY = "primary-only"
    """None is made about reads; the primary answers and judges. Writes are followed as ever."""

    @property
    def reason(self) -> Reason | None:
        """Why a request goes to the primary; None where the mode sends none there."""
        return _REASONS.get(self)


_REASONS: Final = {Mode.OBSERVE: Reason.MODE_OBSERVE, Mode.PRIMARY_ONLY: Reason.MODE_PRIMARY_ONLY}


@dataclass(frozen=True, slots=True)
class Rollout:
    """The mode, and the names that may be served here.

    A name may be when a pattern of `include` matches (any name does when there is none), none of `exclude` does, and
    it is within `percentage`. Raises ValueError for a percentage outside 0 to 100.
    """

    mode: Mode = Mode.SERVE
    include: tuple[NamePattern, ...] = ()
    exclude: tuple[NamePattern, ...] = ()
    percentage: float = 100.0

    def __post_init__(self) -> None:
        if not 0 <= self.percentage <= 100:
            raise ValueError(f"a percentage of {self.percentage} is not within 0 to 100")

    def withholds(self, name: Name | None) -> Reason | None:
        """Why reads of `name` are the primary's before any evidence is looked up; None when they are not."""
        if self.mode is Mode.PRIMARY_ONLY or name is None:
            return Reason.MODE_PRIMARY_ONLY if self.mode is Mode.PRIMARY_ONLY else None
        if (self.include and not _any_matches(self.include, name)) or _any_matches(self.exclude, name):
            return Reason.NAME_EXCLUDED
        if self.percentage < 100 and place_of(name) >= self.percentage:
            return Reason.PERCENTAGE_EXCLUDED
        return None


@lru_cache(maxsize=4096)
def _any_matches(patterns: tuple[NamePattern, ...], name: Name) -> bool:
    """Remembered, for a hundred groups are a hundred patterns, and the names in use are few."""
    return any(pattern.matches(name) for pattern in patterns)


SERVE: Final = Rollout()
"""All names."""


def place_of(name: Name) -> float:
    """Where in 0 to 100 the name stands: by its hash, so always and everywhere at the same place."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest(), "big") * 100 / 2**48
