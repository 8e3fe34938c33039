"""The faults that the model check must find, as exact changes of the text of the code (plant.py plants them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MEMORY: Final = "extproc/evidence/memory.py"
_KEPT: Final = "extproc/evidence/kept.py"
_ROUTER: Final = "extproc/routing/router.py"
_DECISION: Final = "extproc/routing/decision.py"


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` stands in the file exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Fault:
    """`promises`: one of which it must break."""

    name: str
    promises: frozenset[str]
    edits: tuple[Edit, ...]


FAULTS: Final = (
    Fault(
        "epoch check removed",
        frozenset({"P3", "P6", "notified"}),
        (Edit(_MEMORY, "if not snapshot.epoch or kept.epoch != snapshot.epoch:", "if not snapshot.epoch:"),),
    ),
    Fault(
        "mark removed",
        frozenset({"P3", "P6"}),
        (Edit(_MEMORY, "        kept.mark(kept_as(mark), now + micros(ttl))\n", ""),),
    ),
    Fault(
        "invalidation only after the response",
        frozenset({"P3", "P5", "P6"}),
        (
            Edit(
                _ROUTER,
                "taken = await self._writes.begin_write(\n"
                "            operation.name, mark, admitted.invalidation, "
                "pending.policy.write_timeout + MARK_MARGIN\n"
                "        )",
                "taken = True",
            ),
        ),
    ),
    Fault(
        "tombstone not set before forwarding",
        frozenset({"P6"}),
        (
            Edit(
                _ROUTER,
                "operation.name, mark, admitted.invalidation, pending.policy.write_timeout + MARK_MARGIN",
                "operation.name,\n"
                "            mark,\n"
                "            Invalidation(admitted.invalidation.tag, admitted.invalidation.all_leases),\n"
                "            pending.policy.write_timeout + MARK_MARGIN,",
            ),
        ),
    ),
    Fault(
        "sent_at taken at the answer",
        frozenset({"P3", "P4"}),
        (
            Edit(
                _KEPT,
                "seen.media_type, snapshot.at, snapshot.generation",
                "seen.media_type, now, snapshot.generation",
            ),
        ),
    ),
    Fault(
        "digest of a rewritten child accepted",
        frozenset({"P4"}),
        (Edit(_DECISION, "teaches = accepted >= LEASED_MEDIA_TYPES and not", "teaches = not"),),
    ),
    Fault(
        "tag served by tag instead of digest",
        frozenset({"P4"}),
        (Edit(_DECISION, "Reason.TAG_VERIFIED, pin=lease.digest,", "Reason.TAG_VERIFIED,"),),
    ),
    Fault(
        "learning under a mark",
        frozenset({"P3", "P6"}),
        (
            Edit(_DECISION, ">= LEASED_MEDIA_TYPES and not evidence.marked and", ">= LEASED_MEDIA_TYPES and"),
            Edit(_DECISION, "learns = not evidence.marked", "learns = True"),
        ),
    ),
    Fault(
        "tombstone lifted by a push notification",
        frozenset({"P6"}),
        (
            Edit(
                _KEPT,
                "        if self.known(digest, now).state is not DigestState.PRESENT:\n",
                "        self.tombstones.discard(digest)\n"
                "        if self.known(digest, now).state is not DigestState.PRESENT:\n",
            ),
        ),
    ),
    Fault(
        "tombstone of both lifted by the answer of one",
        frozenset({"P6"}),
        (Edit(_KEPT, "            self.half_lifted[digest] = kind.other\n", ""),),
    ),
    Fault(
        "missing epoch matching missing",
        frozenset({"P3", "notified"}),
        (
            Edit(
                _MEMORY,
                "        if not kept.epoch:\n"
                "            kept.epoch = token()\n"
                "            self._touch(name, kept, now)\n",
                "",
            ),
            Edit(
                _MEMORY, "if not snapshot.epoch or kept.epoch != snapshot.epoch:", "if kept.epoch != snapshot.epoch:"
            ),
        ),
    ),
    Fault(
        "writes not followed while not serving",
        frozenset({"P3", "P6"}),
        (Edit(_DECISION, "return replace(decided, would=would)", "return Forward(decided.route, decided.reason)"),),
    ),
    Fault(
        "stale answer of what was deleted",
        frozenset({"P6"}),
        (
            Edit(
                _DECISION,
                "frozenset({Reason.DIGEST_UNKNOWN, Reason.DIGEST_ABSENT, Reason.TAG_STALE})",
                "frozenset({Reason.DIGEST_UNKNOWN, Reason.DIGEST_ABSENT, Reason.TAG_STALE, Reason.DIGEST_DELETED})",
            ),
            Edit(
                _DECISION, "decided.reason not in _MAY_BE_STALE or deleted:", "decided.reason not in _MAY_BE_STALE:"
            ),
        ),
    ),
)
