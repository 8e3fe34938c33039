"""What the promises say of one fault's part of the ledger.

Rules
1. P1, P2: a request has the status that it has without faults. While the fault lasts it may fail as the fault allows
   for its kind, and as long as it takes every worker to trust the store again. What is known to be here is served.
2. P3: a tag read that starts after the 2xx of a push through this site gives what it pushed or something later. So
   does one that starts after both the 2xx of a push past this site and the 2xx of its notification.
3. P4: in any case, one that was replaced at most `max_staleness` before the read began.
4. P5: a 404 is never allowed for what was pushed and not deleted.
5. Bytes are those of the digest that was asked for, or that the answer names.
6. A push without an answer may have taken place, and at any time later: what it pushed is never stale.
7. P6 goes before P1: a DELETE by digest whose tombstone could not be written within the store's budget is refused,
   with 503 and `evidence-unavailable`, whatever the fault. It counts as allowed; that most are taken is for others to
   see.
8. Where Envoy itself says 503 (site `none`), it says so in OCI's form, with Retry-After.
9. docker-registry 2.8 writes a tag's file in place: who reads the tag at the primary in that moment gets its 500. It
   is no worse than the primary alone, and counts as allowed.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.faults.ledger import Entry, Kind

Allowed = Mapping[Kind, frozenset[int]]
"""Which statuses a kind of request may have instead of the right one; 0 is none at all."""
Told = Mapping[tuple[str, str], float]
"""(tag, digest) → when its notification was answered with 2xx, by `time.monotonic`."""


_SETTLED: Final = 1.0
"""Seconds between the first worker that serves from here again and the last: the store's breaker and quarantine."""


@dataclass(frozen=True, slots=True)
class Part:
    """Of the ledger: one fault, and the instants at which it began and ended."""

    entries: Sequence[Entry]
    began: float
    ended: float


@dataclass
class Verdict:
    """Sentences for what must not be; counts for what may."""

    requests: int = 0
    errors: list[str] = field(default_factory=list)
    allowed: int = 0
    stale: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    recovered_after: float | None = None
    """Seconds from the fault's end until tags and blobs were local again."""

    @property
    def broken(self) -> list[str]:
        return [*self.errors, *self.stale, *self.wrong]


class Judge:
    """Knows every push of the whole ledger."""

    def __init__(self, pushes: Iterable[Entry], told: Told, *, max_staleness: float) -> None:
        """`max_staleness` in seconds."""
        self._max_staleness = max_staleness
        self._told = told
        self._pushes: dict[tuple[str, str], list[Entry]] = {}
        for entry in pushes:
            if entry.kind in {"push", "direct"}:
                self._pushes.setdefault((entry.name, entry.reference), []).append(entry)
        for pushes_of_tag in self._pushes.values():
            pushes_of_tag.sort(key=lambda entry: entry.begun)

    def verdict(self, part: Part, allowed: Allowed, *, trusting_notifications: bool = True) -> Verdict:
        """`trusting_notifications`: whether rule 2's second sentence holds; not where they are repeated or mixed."""
        verdict = Verdict(recovered_after=_recovery(part))
        over = part.ended + (verdict.recovered_after or 0.0) + _SETTLED
        for entry in part.entries:
            if entry.kind == "direct":
                continue
            verdict.requests += 1
            if not entry.good:
                touches = entry.ended >= part.began and entry.begun <= over
                as_allowed = entry.status in allowed.get(entry.kind, ()) and entry.reason != "digest-present"
                if (touches and as_allowed) or unrecorded(entry) or self._half_written(entry):
                    verdict.allowed += 1
                else:
                    verdict.errors.append(f"error: {entry}")
                _unavailable(entry, verdict)
            elif entry.status == 200:
                _bytes(entry, verdict)
                if entry.kind == "tag":
                    self._tag(entry, verdict, trusting_notifications)
        return verdict

    def _tag(self, read: Entry, verdict: Verdict, trusting_notifications: bool) -> None:
        pushes = self._pushes.get((read.name, read.reference), [])
        which = next((number for number, push in enumerate(pushes) if push.digest == read.digest), None)
        if which is None:
            verdict.wrong.append(f"never pushed: {read}")
            return
        if not pushes[which].good:
            return
        later = [push for push in pushes[which + 1 :] if push.good]
        # Ends of one client's pushes are in the order of their begins.
        late = bisect_right([push.ended for push in later], read.begun - self._max_staleness)
        if late:
            verdict.stale.append(f"P4: replaced {read.begun - later[0].ended:.3f} s before: {read}")
        known = [
            push
            for push in later
            if (since := self._known_since(push, trusting_notifications)) is not None and since <= read.begun
        ]
        if known:
            verdict.stale.append(f"P3: {read.begun - known[-1].ended:.3f} s after its 2xx not {known[-1]}: {read}")

    def _half_written(self, read: Entry) -> bool:
        """Rule 9."""
        if (read.kind, read.status, read.site) != ("tag", 500, "primary"):
            return False
        pushes = self._pushes.get((read.name, read.reference), [])
        return any(push.begun <= read.ended and push.ended >= read.begun for push in pushes)

    def _known_since(self, push: Entry, trusting_notifications: bool) -> float | None:
        if push.kind == "push":
            return push.ended
        told = self._told.get((push.reference, push.digest))
        return max(push.ended, told) if told is not None and trusting_notifications else None


def unrecorded(entry: Entry) -> bool:
    """Rule 7."""
    return (entry.kind, entry.status, entry.reason) == ("delete", 503, "evidence-unavailable")


def _bytes(entry: Entry, verdict: Verdict) -> None:
    named = entry.digest or entry.reference
    asked = entry.reference if ":" in entry.reference else named
    if named != asked:
        verdict.wrong.append(f"another digest: {entry}")
    elif entry.method == "GET" and entry.body_digest != asked:
        verdict.wrong.append(f"wrong bytes: {entry}")


def _unavailable(entry: Entry, verdict: Verdict) -> None:
    """Rule 8: clients can show it, and know when to come again."""
    if entry.site != "none" or entry.method == "HEAD":
        return
    try:
        code = json.loads(entry.note)["errors"][0]["code"]
    except (ValueError, LookupError, TypeError):
        code = ""
    if code != "UNAVAILABLE" or not entry.retry_after:
        verdict.wrong.append(f"not in OCI's form, or without Retry-After: {entry}")


def _recovery(part: Part) -> float | None:
    def first(*kinds: Kind) -> float | None:
        """Begun after the fault's end."""
        ends = (
            entry.ended for entry in part.entries if entry.local and entry.kind in kinds and entry.begun >= part.ended
        )
        return min(ends, default=None)

    tag, bytes_ = first("tag"), first("manifest", "blob")
    return None if tag is None or bytes_ is None else max(tag, bytes_) - part.ended
