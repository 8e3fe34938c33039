"""What a run found: counts that add up name by name, and the summary that is kept for `status`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from pydantic import TypeAdapter

MOST_EXAMPLES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one name, or of many. `tags` = `same` + `behind` + `missing` + `unread`."""

    names: int = 0
    """Compared, those with errors included."""
    tags: int = 0
    """Of the primary."""
    same: int = 0
    """The secondary's tag names the same digest."""
    behind: int = 0
    """The secondary's tag names another digest."""
    missing: int = 0
    """The secondary does not have the tag."""
    extra: int = 0
    """Tags that only the secondary has."""
    incomplete: int = 0
    """Tags whose manifest the secondary has, but not all that it refers to."""
    unread: int = 0
    """Tags that could not be compared."""
    busy: int = 0
    """Names written to meanwhile: compared, but not all of what was seen could be kept."""
    gone: int = 0
    """Names that the primary does not know."""
    errors: int = 0
    """Names that could not be read, or not wholly."""
    leases: int = 0
    """Leases written."""
    present: int = 0
    """Digests seen at the secondary, and kept as present."""
    dropped: int = 0
    """Leases, digests and names that were held and are no longer true."""
    missing_examples: tuple[str, ...] = ()
    """`name:tag`, at most 20, as in the three that follow."""
    behind_examples: tuple[str, ...] = ()
    incomplete_examples: tuple[str, ...] = ()
    extra_examples: tuple[str, ...] = ()
    busy_examples: tuple[str, ...] = ()
    """Names, at most 20."""
    gone_examples: tuple[str, ...] = ()
    """Names, at most 20."""
    error_examples: tuple[str, ...] = ()
    """`name: why`, at most 20; of unread tags, too."""

    def __add__(self, other: Counts) -> Counts:
        together: dict[str, Any] = {}
        for each in fields(Counts):
            both = getattr(self, each.name) + getattr(other, each.name)
            together[each.name] = both[:MOST_EXAMPLES] if isinstance(both, tuple) else both
        return Counts(**together)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Counts):
    """A finished run. Times are seconds since the Unix epoch, by the clock of the machine that ran it."""

    source: str
    """Where the names came from."""
    by: str
    """Who ran it."""
    started: float
    """Of an interrupted and continued run, its first start."""
    finished: float

    @classmethod
    def of(cls, counts: Counts, *, source: str, by: str, started: float, finished: float) -> Summary:
        kept = {each.name: getattr(counts, each.name) for each in fields(Counts)}
        return cls(source=source, by=by, started=started, finished=finished, **kept)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """Raises ValueError for a text that is not one; keys of later versions are passed over."""
        return _SUMMARY.validate_json(text)


_SUMMARY: Final = TypeAdapter(Summary)
