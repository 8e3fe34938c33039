"""Where a request goes, and why: one pure function of what is known.

Rules, in this order (docs/decisions.md draws them)
1. A write that cannot be read as the registry would read it is refused.
2. What we do not understand, and GitLab's own API, is the primary's to judge.
3. No grant, no way in; a signature we cannot check is the primary's to judge.
4. Every write goes to the primary, and says what it makes untrue.
5. A token that can push reads from the primary: the secondary's answer could make a push skip a layer.
6. A digest goes to the secondary unless we know better; a tag only as the digest the primary lately named.
7. Without evidence, the primary.
8. The rollout has the last word about reads: a name that it withholds, and in every mode but `serve` all else that
   the secondary would be asked for, is the primary's. In those modes the primary judges every token, too. What it
   never changes: writes invalidate, and what is refused lest evidence become wrong (400, 503) is refused.
9. Where the operator allows it (`serve_stale`), a read that is the primary's for want of better knowledge names the
   digest that the secondary may be asked for should the primary fail. Never one that is deleted, never one of a tag
   that the primary did not name, and nothing while the store is away, for it may hold a tombstone (P6 before P1).
10. Where this site is the primary, its registry answers everything. Rule 1 and the check of tokens stay; there is
    nothing to look up, nothing to learn, and no write makes anything untrue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from extproc.auth.access import grants_push, missing_access, required_access
from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.model import ContentKind, DigestState, Evidence, Invalidation, Unavailable
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.operation import Kind, Operation
from extproc.oci.reference import Digest, Tag
from extproc.oci.word import Word
from extproc.routing.policy import Policy
from extproc.routing.reason import Reason
from extproc.routing.rollout import SERVE, Mode, Rollout


class Route(Word):
    """The value of `x-geo-route`, which Envoy's route table matches."""

    SECONDARY = "secondary"
    """The secondary first; the primary in the same request when it does not deliver. GET and HEAD only."""
    PRIMARY = "primary"
    PRIMARY_THEN_SECONDARY = "primary-then-secondary"
    """The primary; where it fails, the secondary in the same request, by digest. GET and HEAD only."""
    LOCAL = "local"
    """This site's registry, which is the primary."""


@dataclass(init=False, slots=True)
class Forward:
    """The request goes on."""

    route: Route
    reason: Reason
    pin: Digest | None
    """A tag read is answered as a read of this digest."""
    stale: Digest | None
    """With PRIMARY_THEN_SECONDARY: what the secondary may be asked for."""
    observe: bool
    """Ask for the response phase: the answer can teach us something."""
    invalidation: Invalidation | None
    """For a write: what it makes untrue. Implies the response phase."""
    would: Forward | Refuse | None
    """What `serve` would have decided: in mode `observe` always, in `primary-only` where it would refuse a token."""
    would_find: bool
    """The secondary is known to have what `would` asks it for."""

    def __init__(  # noqa: PLR0917 - its fields
        self,
        route: Route,
        reason: Reason,
        pin: Digest | None = None,
        stale: Digest | None = None,
        observe: bool = False,
        invalidation: Invalidation | None = None,
        would: Forward | Refuse | None = None,
        would_find: bool = False,
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.route = route
        self.reason = reason
        self.pin = pin
        self.stale = stale
        self.observe = observe
        self.invalidation = invalidation
        self.would = would
        self.would_find = would_find


@dataclass(init=False, slots=True)
class Refuse:
    """The request is answered here: 401 with a challenge, 400, or 503 (see the router)."""

    status: int
    reason: Reason
    wanted: tuple[Access, ...]
    """What the challenge asks a token for."""
    fault: str
    """For 400 and 503: the sentence that says what is wrong."""

    def __init__(
        self,
        status: int,
        reason: Reason,
        wanted: tuple[Access, ...] = (),
        fault: str = "",
    ) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.status = status
        self.reason = reason
        self.wanted = wanted
        self.fault = fault


@dataclass(init=False, slots=True)
class Lookup:
    """The decision needs evidence of `operation`'s reference under its name."""

    operation: Operation
    passthrough: bool

    def __init__(self, operation: Operation, passthrough: bool) -> None:
        # Written out: the one that dataclass makes is not compiled (docs/performance.md).
        self.operation = operation
        self.passthrough = passthrough


Credential = Grant | Rejection | None
"""None: no token rows apply (`auth = "passthrough"`)."""

_REJECTED: Final = {
    Rejection.MISSING: Reason.TOKEN_MISSING,
    Rejection.EXPIRED: Reason.TOKEN_EXPIRED,
    Rejection.INVALID: Reason.TOKEN_INVALID,
}
_UNJUDGED: Final = {Kind.UNKNOWN: Reason.UNKNOWN_OPERATION, Kind.GITLAB_API: Reason.GITLAB_API}
_WRITES: Final = frozenset({Kind.MANIFEST_PUT, Kind.MANIFEST_DELETE, Kind.BLOB_DELETE, Kind.WRITE})
_FIXED: Final = {
    Kind.API_BASE: Forward(Route.SECONDARY, Reason.API_BASE),
    Kind.UPLOAD: Forward(Route.PRIMARY, Reason.UPLOAD_SESSION),
    Kind.TAGS_LIST: Forward(Route.PRIMARY, Reason.LISTING),
    Kind.REFERRERS: Forward(Route.PRIMARY, Reason.LISTING),
    Kind.CATALOG: Forward(Route.PRIMARY, Reason.LISTING),
}
_MAY_BE_STALE: Final = frozenset({Reason.DIGEST_UNKNOWN, Reason.DIGEST_ABSENT, Reason.TAG_STALE})
_NAMED_READS: Final = frozenset({Kind.BLOB, Kind.MANIFEST, Kind.TAGS_LIST, Kind.REFERRERS})


def admit(
    operation: Operation, credential: Credential, rollout: Rollout = SERVE, *, promoted: bool = False
) -> Forward | Refuse | Lookup:
    """All of the decision that needs no evidence (rules 1 to 5, 8 and 10)."""
    decided = _admit(operation, credential)
    if promoted:
        stays = isinstance(decided, Refuse) and (decided.status != 401 or rollout.mode is Mode.SERVE)
        return decided if stays else Forward(Route.LOCAL, Reason.PROMOTED)
    if isinstance(decided, Forward):
        return _rolled_out(decided, rollout)
    if isinstance(decided, Lookup):
        withheld = rollout.withholds(operation.name)
        return decided if withheld is None else _rolled_out(Forward(Route.PRIMARY, withheld), rollout)
    if decided.status == 401 and (reason := rollout.mode.reason) is not None:
        # The primary may accept it.
        return Forward(Route.PRIMARY, reason, invalidation=invalidation_of(operation), would=decided)
    return decided


def _admit(operation: Operation, credential: Credential) -> Forward | Refuse | Lookup:
    kind = operation.kind
    if kind is Kind.MALFORMED:
        return Refuse(400, Reason.NAME_INVALID, fault=operation.fault)
    if kind in _UNJUDGED:
        return Forward(Route.PRIMARY, _UNJUDGED[kind])
    if credential is Rejection.UNVERIFIABLE:
        return Forward(Route.PRIMARY, Reason.TOKEN_UNVERIFIABLE, invalidation=invalidation_of(operation))
    if isinstance(credential, Rejection):
        return Refuse(401, _REJECTED[credential], required_access(operation))
    if credential is not None and missing_access(operation, credential):
        return Refuse(401, Reason.SCOPE_INSUFFICIENT, required_access(operation))
    if kind in _WRITES:
        return Forward(Route.PRIMARY, Reason.WRITE, invalidation=invalidation_of(operation))
    name = operation.name
    if kind in _NAMED_READS and credential is not None and name is not None and grants_push(credential, name):
        return Forward(Route.PRIMARY, Reason.PUSH_TOKEN)
    if kind in _FIXED:
        return _FIXED[kind]
    return Lookup(operation, passthrough=credential is None)


def resolve(lookup: Lookup, evidence: Evidence | Unavailable, accepted: frozenset[str], policy: Policy) -> Forward:
    """The rest of it, for a read of a manifest or blob (rules 6 to 9)."""
    decided = _resolve(lookup, evidence, accepted, policy)
    if isinstance(evidence, Unavailable):
        return _rolled_out(decided, policy.rollout)
    if policy.serve_stale and policy.rollout.mode is Mode.SERVE:
        decided = _or_stale(decided, lookup.operation, evidence)
    return _rolled_out(decided, policy.rollout, found=evidence.digest is DigestState.PRESENT)


def _resolve(lookup: Lookup, evidence: Evidence | Unavailable, accepted: frozenset[str], policy: Policy) -> Forward:
    operation = lookup.operation
    if isinstance(evidence, Unavailable):
        return Forward(Route.PRIMARY, Reason.EVIDENCE_UNAVAILABLE)
    if isinstance(operation.reference, Tag):
        return _resolve_tag(evidence, accepted, policy)
    if lookup.passthrough and operation.method == "HEAD":
        return Forward(Route.PRIMARY, Reason.POSSIBLE_PUSH)
    return _resolve_digest(evidence, content_kind(operation), policy)


def decide(
    operation: Operation,
    credential: Credential,
    evidence: Evidence | Unavailable,
    accepted: frozenset[str],
    policy: Policy,
) -> Forward | Refuse:
    """`admit`, then `resolve` where evidence is needed."""
    admitted = admit(operation, credential, policy.rollout, promoted=policy.promoted)
    if isinstance(admitted, Lookup):
        return resolve(admitted, evidence, accepted, policy)
    return admitted


def invalidation_of(operation: Operation) -> Invalidation | None:
    """What a manifest PUT or a DELETE makes untrue under its name; None for every other operation.

    Deleting a digest also removes the tags that point to it, whichever they are.
    """
    match operation.kind, operation.reference:
        case ((Kind.MANIFEST_PUT | Kind.MANIFEST_DELETE), Tag() as tag):
            return Invalidation(tag=tag)
        case Kind.MANIFEST_PUT, Digest():
            return Invalidation(all_leases=operation.moves_other_tags)
        case ((Kind.MANIFEST_DELETE | Kind.BLOB_DELETE), Digest() as digest):
            return Invalidation(all_leases=True, tombstone=digest)
        case _:
            return None


def _rolled_out(decided: Forward, rollout: Rollout, *, found: bool = False) -> Forward:
    """Rule 8 for what goes on. `found`: the secondary is known to have what is asked for."""
    reason = rollout.mode.reason
    if reason is None:
        return decided
    would = decided if rollout.mode is Mode.OBSERVE else None
    if decided.route is Route.PRIMARY:
        return replace(decided, would=would)
    # Nothing is learned from the answer: of the secondary it shows nothing, and a lease that is renewed sooner than
    # `serve` would renew it makes the forecast too good.
    return Forward(Route.PRIMARY, reason, would=would, would_find=found and would is not None)


def _or_stale(decided: Forward, operation: Operation, evidence: Evidence) -> Forward:
    """Rule 9. By tag the reasons are those of a lease that this request's `Accept` covers."""
    deleted = evidence.state_as(content_kind(operation)) is DigestState.DELETED
    if decided.route is not Route.PRIMARY or decided.reason not in _MAY_BE_STALE or deleted:
        return decided
    lease, reference = evidence.lease, operation.reference
    if isinstance(reference, Digest):
        return replace(decided, route=Route.PRIMARY_THEN_SECONDARY, stale=reference)
    return decided if lease is None else replace(decided, route=Route.PRIMARY_THEN_SECONDARY, stale=lease.digest)


def content_kind(operation: Operation) -> ContentKind:
    """What a read of a manifest or blob asks for."""
    return ContentKind.BLOB if operation.kind is Kind.BLOB else ContentKind.MANIFEST


def _resolve_tag(evidence: Evidence, accepted: frozenset[str], policy: Policy) -> Forward:
    # With max_staleness 0 a lease would never be used: do not pay for learning one.
    teaches = accepted >= LEASED_MEDIA_TYPES and not evidence.marked and policy.max_staleness > 0
    lease = evidence.lease
    if lease is None or lease.media_type not in accepted or policy.max_staleness == 0:
        return Forward(Route.PRIMARY, Reason.TAG_UNVERIFIED, observe=teaches)
    if lease.age > policy.max_staleness:
        return Forward(Route.PRIMARY, Reason.TAG_STALE, observe=teaches)
    resolved = _resolve_digest(evidence, ContentKind.MANIFEST, policy)
    if resolved.route is Route.SECONDARY:
        return Forward(Route.SECONDARY, Reason.TAG_VERIFIED, pin=lease.digest, observe=resolved.observe)
    return Forward(Route.PRIMARY, resolved.reason, observe=teaches)


def _resolve_digest(evidence: Evidence, kind: ContentKind, policy: Policy) -> Forward:
    learns = not evidence.marked
    match evidence.state_as(kind):
        case DigestState.DELETED:
            return Forward(Route.PRIMARY, Reason.DIGEST_DELETED, observe=learns)
        case DigestState.ABSENT:
            return Forward(Route.PRIMARY, Reason.DIGEST_ABSENT)
        case DigestState.PRESENT:
            due = evidence.confirmed is None or evidence.confirmed > policy.present_recheck
            return Forward(Route.SECONDARY, Reason.DIGEST_PRESENT, observe=learns and due)
        case _ if policy.unknown_digests_local:
            return Forward(Route.SECONDARY, Reason.DIGEST_UNKNOWN, observe=learns)
        case _:
            return Forward(Route.PRIMARY, Reason.DIGEST_UNKNOWN)
