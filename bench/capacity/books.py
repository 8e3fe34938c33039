"""What was counted. Counts of one name are whole numbers; those of a day are weighted sums of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.routing.reason import Reason


@dataclass
class Books:
    """Requests, bytes and exchanges with the store. Bytes are those of bodies that clients read."""

    reads_local: float = 0.0
    """Answered by the secondary."""
    reads_primary: float = 0.0
    bytes_local: float = 0.0
    bytes_primary: float = 0.0
    writes: float = 0.0
    stale: float = 0.0
    """Tags that were answered with what the primary had before, within `max_staleness`."""
    fell_back: float = 0.0
    """Reads that the secondary was asked for and did not have: part of `reads_primary`."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of reads, by reason."""
    at_primary: Counter[str] = field(default_factory=Counter)
    """The same, of those that the primary answered."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Exchanges by what they cost: see cost.py."""

    @property
    def reads(self) -> float:
        return self.reads_local + self.reads_primary

    @property
    def bytes_read(self) -> float:
        """Also what would cross the WAN if all were read from the primary."""
        return self.bytes_local + self.bytes_primary

    @property
    def requests(self) -> float:
        return self.reads + self.writes

    @property
    def local_share(self) -> float:
        return self.reads_local / self.reads if self.reads else 0.0

    @property
    def local_bytes_share(self) -> float:
        """The share of the WAN's bytes that is saved."""
        return self.bytes_local / self.bytes_read if self.bytes_read else 0.0

    def read(self, reason: Reason, size: int, *, local: bool) -> None:
        self.reasons[reason.value] += 1
        if local:
            self.reads_local += 1
            self.bytes_local += size
        else:
            self.reads_primary += 1
            self.bytes_primary += size
            self.at_primary[reason.value] += 1

    def add(self, other: Books, weight: float) -> None:
        for key, value in vars(other).items():
            if isinstance(value, Counter):
                mine = getattr(self, key)
                for each, count in value.items():
                    mine[each] += count * weight
            else:
                setattr(self, key, getattr(self, key) + value * weight)

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Books:
        """What `as_json` gave, and perhaps more."""
        books = cls()
        for key, value in vars(books).items():
            setattr(books, key, Counter(row[key]) if isinstance(value, Counter) else row[key])
        return books

    def as_json(self) -> dict[str, Any]:
        """With the sums that are made of it."""
        counted = {key: dict(value) if isinstance(value, Counter) else value for key, value in vars(self).items()}
        return {
            **counted,
            "reads": self.reads,
            "bytes_read": self.bytes_read,
            "local_share": self.local_share,
            "local_bytes_share": self.local_bytes_share,
        }
