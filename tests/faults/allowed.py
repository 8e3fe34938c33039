"""What may fail, and what shows that a fault was felt: the words of the tables."""

from __future__ import annotations

from typing import Final

from tests.faults.judge import Allowed
from tests.faults.ledger import READS, WRITES, Entry

NO_PRIMARY: Final[Allowed] = {
    kind: frozenset({503}) for kind in ("push", "upload", "delete", "gone", "tag", "manifest", "blob")
}
"""Reads without evidence and all writes: 503, by Envoy or by whatever is in the primary's place."""
NO_ANSWER: Final[Allowed] = {kind: statuses | {0, 504} for kind, statuses in NO_PRIMARY.items()}
"""A primary that takes requests and answers none keeps clients waiting, as it would without us."""


def unseen(entry: Entry) -> bool:
    """No worker decided on it."""
    return entry.kind in READS and entry.good and entry.site == "primary" and entry.reason == ""


def without_evidence(entry: Entry) -> bool:
    return entry.kind in READS and entry.good and entry.reason == "evidence-unavailable"


def fell_back(entry: Entry) -> bool:
    """Meant for the secondary, and answered by the primary in the same request."""
    asked = entry.reason in {"digest-present", "digest-unknown", "tag-verified"}
    return entry.kind in READS and entry.good and asked and entry.site == "primary"


def local_tag(entry: Entry) -> bool:
    return entry.local and entry.kind == "tag"


def local_digest(entry: Entry) -> bool:
    return entry.local and entry.kind in {"manifest", "blob"}


def refused(entry: Entry) -> bool:
    return not entry.good and entry.kind in READS | WRITES
