"""What is said of a decided request, in the words that spans, metrics, the status page and dashboards share."""

from __future__ import annotations

from extproc.auth.grant import Rejection
from extproc.evidence.model import DigestState, Evidence
from extproc.oci.reference import Tag
from extproc.routing.decision import Forward, Refuse
from extproc.routing.reason import Reason
from extproc.routing.router import Routed

REFUSED = "refused"
"""The route of what we answer ourselves."""


def decision_words(decision: Forward | Refuse, routed: Routed) -> tuple[str, str, str]:
    """Reason, route and operation, of `routed`'s decision or of what it would have been."""
    route = decision.route.word if isinstance(decision, Forward) else REFUSED
    return decision.reason.word, route, routed.operation.kind.word


def would_of(decision: Forward | Refuse) -> Forward | Refuse | None:
    """What mode `serve` would have decided, where another one is in force."""
    return decision.would if isinstance(decision, Forward) else None


def token_word(routed: Routed) -> str:
    """What became of the token."""
    credential = routed.credential
    if credential is None:
        return "passthrough"
    if isinstance(credential, Rejection):
        return credential.word
    return "insufficient" if routed.decision.reason is Reason.SCOPE_INSUFFICIENT else "verified"


def reference_word(routed: Routed) -> str:
    """What kind of reference it has; empty for none."""
    reference = routed.operation.reference
    return "" if reference is None else "tag" if isinstance(reference, Tag) else "digest"


def lookup_word(routed: Routed) -> str:
    """What the look for evidence found, where there was one."""
    evidence = routed.evidence
    if not isinstance(evidence, Evidence):
        return "unavailable"
    if isinstance(routed.operation.reference, Tag):
        return "miss" if evidence.lease is None else "hit"
    return "miss" if evidence.digest is DigestState.UNKNOWN else "hit"


def lease_age(routed: Routed) -> float | None:
    """Seconds; of the lease that the store gave for a tag, used or not."""
    evidence = routed.evidence
    return evidence.lease.age if isinstance(evidence, Evidence) and evidence.lease is not None else None
