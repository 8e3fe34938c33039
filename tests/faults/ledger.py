"""Every request of every client, in the order of their ends, and who waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["push", "direct", "upload", "delete", "gone", "tag", "manifest", "blob"]
"""push, direct: a manifest by tag, through this site or straight to the primary. gone: a read of what was deleted."""
READS = frozenset({"tag", "manifest", "blob"})
WRITES = frozenset({"push", "upload", "delete"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and its answer, as the client saw it."""

    kind: Kind
    name: str
    reference: str
    method: str
    path: str
    status: int
    """0: no answer, see `note`."""
    wanted: int
    """The status without any fault."""
    site: str
    reason: str
    digest: str
    """That the answer's header names; of a push, that was pushed."""
    body_digest: str
    """Of the bytes that came; empty where none did."""
    begun: float
    ended: float
    """Both of `time.monotonic`."""
    retry_after: str = ""
    note: str = ""
    """The body of an error, or what broke."""

    @property
    def good(self) -> bool:
        return self.status == self.wanted

    @property
    def local(self) -> bool:
        return self.good and self.site == "secondary" and self.kind in READS


Match = Callable[[Entry], bool]


@dataclass
class Ledger:
    """All entries; `until` waits for more."""

    entries: list[Entry] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._moved.set()

    async def until(self, match: Match, number: int, *, after: int, within: float, what: str) -> None:
        """Until so many of the entries from number `after` on match. AssertionError when they do not come."""
        found = 0
        try:
            async with asyncio.timeout(within):
                while True:
                    end = len(self.entries)
                    found += sum(match(entry) for entry in self.entries[after:end])
                    after = end
                    if found >= number:
                        return
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError as error:
            last = [f"{each.kind} {each.status} {each.site} {each.reason}" for each in self.entries[-10:]]
            raise AssertionError(f"{found} of {number} within {within:g} s: {what}; the last: {last}") from error
