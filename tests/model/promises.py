"""Promises P3 to P6 (design §2) as predicates on one finished read, with their stated exceptions and no others.

    P3  the answer is one that the primary gave at some turn after the latest write that the read must see
    P4  a pinned digest was the primary's own answer, for this `Accept`, within `max_staleness` before the decision
    P5  what the primary answered with 200 all along, the client got with 200
    P6  nothing comes from the secondary that the primary lacks since a delete that was acknowledged before the read;
        nothing reaches a client without the right to it
    notified  as P3, for a write made elsewhere whose notification was acknowledged (operation 5, design §4)

A turn is the model's smallest step: two events never share one. Times are seconds of the one clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.evidence.store import PUSH_SETTLES
from extproc.oci.reference import Digest, Name, Tag
from tests.model.content import PUSHER, STRANGER, AsBlob, Client, called
from tests.model.ledger import Ledger, Via, Write
from tests.model.world import NO_ANSWER, Answer, Primary, Reference, Version


class PromiseBroken(AssertionError):
    """`promise` is one of those above; the message says what was served and what had to be."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise} is broken: {what}")
        self.promise = promise


@dataclass(slots=True)
class Read:
    """A read through this site, from its start to the client's answer."""

    client: Client
    name: Name
    reference: Reference
    worker: str
    """Which decided it; empty when none did."""
    started: int
    """Turn."""
    decided: int = 0
    """Turn and time at which the store answered `decide`; equal to the start when it was not asked."""
    decided_at: float = 0.0
    pin: Digest | None = None
    ended: int = 0
    """Turn at which the answer was on its way to the client for good."""
    answer: Answer = NO_ANSWER
    site: str = ""
    stale: bool = False
    """The primary failed, and the secondary answered instead."""

    def __str__(self) -> str:
        wanted = called(self.reference)
        how = f" as {called(self.pin)}" if self.pin else ""
        got = called(self.answer.digest) if self.answer.status == 200 else self.answer.status
        return f"{self.name}:{wanted} by {self.client.name}{how}, got {got} from {self.site or 'nobody'}"


class Promises:
    """Judges reads by what the primary was and what is on the ledger."""

    def __init__(self, primary: Primary, ledger: Ledger, max_staleness: float) -> None:
        self._primary = primary
        self._ledger = ledger
        self._max_staleness = max_staleness

    def check(self, read: Read) -> None:
        """Raises PromiseBroken."""
        if read.client is STRANGER:
            if read.answer.status != 401:
                raise PromiseBroken("P6", f"{read}, without the right to it")
            return
        if read.client is PUSHER and read.site == "secondary":
            raise PromiseBroken("P2", f"{read}: a push could skip what the primary lacks")
        self._bytes(read)
        if read.stale:
            # Old it may be, and says so; there is no primary to be compared with.
            self._no_new_access(read)
            self._read_your_writes(read)
            return
        self._bounded_staleness(read)
        self._no_new_access(read)
        self._read_your_writes(read)
        self._no_gap(read)

    def _bytes(self, read: Read) -> None:
        asked = read.pin or read.reference
        digest = asked.digest if isinstance(asked, AsBlob) else asked
        if not isinstance(asked, Tag) and read.answer.status == 200 and read.answer.digest != digest:
            raise PromiseBroken("P6", f"{read}: other bytes than asked for")
        if read.site == "secondary" and isinstance(asked, Tag):
            raise PromiseBroken("P4", f"{read}: the secondary's own tag was believed")

    def _bounded_staleness(self, read: Read) -> None:
        if read.pin is None:
            return
        window = self._primary.within(read.decided_at - self._max_staleness, read.decided)
        if not any(self._answered(version, read).digest == read.pin for version in window):
            raise PromiseBroken(
                "P4", f"{read}: not the primary's answer within {self._max_staleness:g} s before {read.decided_at:g}"
            )

    def _read_your_writes(self, read: Read) -> None:
        if read.answer.status != 200 or not isinstance(read.reference, Tag):
            # A digest is there or not: what is gone is P6's, what is there P5's.
            return
        for write in self._ledger.writes:
            promise = self._must_see(write, read)
            if promise and not any(
                self._answered(version, read).digest == read.answer.digest
                for version in self._since(write, read.ended)
            ):
                raise PromiseBroken(promise, f"{read}: from before {write.label}, which it had to see")

    def _must_see(self, write: Write, read: Read) -> str:
        """The promise by which the read must see the write; empty when it need not."""
        if write.version is None or read.name not in write.names or not self._concerns(write, read):
            return ""
        if write.acked is not None and write.acked < read.started and not _excused(write, read):
            return "P3"
        if write.told is not None and self._settled(write) < read.started and not _notice_lost(write, read.name):
            return "notified"
        return ""

    def _settled(self, write: Write) -> float:
        """The turn from which on a told write must be seen: told and done. Never, where it was told only long before
        it was done."""
        applied = write.applied or 0
        if write.told is None or write.told > applied:
            return write.told or float("inf")
        in_time = any(notice.time + PUSH_SETTLES >= write.applied_at for notice in write.notices)
        return applied if in_time else float("inf")

    def _concerns(self, write: Write, read: Read) -> bool:
        """It is about what is read, or changed what the primary answers."""
        if read.reference in write.keys or write.reference is None:
            return True
        before, after = self._primary.versions[(write.version or 0) - 1 :][:2]
        return self._answered(before, read) != self._answered(after, read)

    def _no_new_access(self, read: Read) -> None:
        digest = read.reference if isinstance(read.reference, AsBlob) else read.answer.digest
        if read.site != "secondary" or read.answer.digest is None or digest is None:
            return
        for write in self._ledger.writes:
            if write.version is None or write.name != read.name or not write.removes(digest):
                continue
            acked = write.acked is not None and write.acked < read.started and not (write.lost and not write.calls)
            told = write.told is not None and write.told < read.started and not _notice_lost(write, read.name)
            if (acked or told) and not any(v.has(read.name, digest) for v in self._since(write, read.ended)):
                raise PromiseBroken("P6", f"{read}: the primary lacks it since {write.label}")

    def _no_gap(self, read: Read) -> None:
        if read.answer.status == 200:
            return
        throughout = [self._answered(version, read) for version in self._primary.during(read.started, read.ended)]
        if all(answer.status == 200 for answer in throughout) and not self._known_gap(read):
            raise PromiseBroken("P5", f"{read}: the primary had it all along")

    def _known_gap(self, read: Read) -> bool:
        """The known exception: moved, and the old manifest deleted elsewhere, unnotified; or while the read ran."""
        if read.pin is None:
            return False
        versions = self._primary.versions
        gone = max(
            (
                number
                for number in range(1, len(versions))
                if versions[number].turn <= read.ended
                and versions[number - 1].has(read.name, read.pin)
                and not versions[number].has(read.name, read.pin)
            ),
            default=0,
        )
        write = self._ledger.of_version(gone)
        if write is None:
            return False
        if versions[gone].turn > read.decided:
            return True
        if write.told is not None and write.told < read.decided:
            return _notice_lost(write, read.name)
        return write.via is Via.ELSEWHERE or write.lost

    def _answered(self, version: Version, read: Read) -> Answer:
        return version.read(read.name, read.reference, read.client.accept)

    def _since(self, write: Write, until: int) -> list[Version]:
        """From what the write made, up to that turn."""
        return [version for version in self._primary.versions[write.version :] if version.turn <= until]


def _excused(write: Write, read: Read) -> bool:
    """The exceptions of P3. None holds once the write is cleared: then nothing from before it can be served."""
    if write.cleared is not None and write.cleared <= read.started:
        return False
    if write.lost:
        return True
    if write.via is Via.UNSEEN:
        # Its copy came later than the 2xx, or never.
        return all(call.turn > read.started for call in write.calls)
    # The writing worker alone could not reach the store: it knows better than the others.
    return write.unreached and read.worker != write.writer


def _notice_lost(write: Write, name: Name) -> bool:
    return write.lost and not any(notice.name == name for notice in write.notices)
