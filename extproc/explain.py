"""Explains one request: the same parse, verify, admit, look-up and resolve as the router, with nothing forwarded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from extproc.auth.access import missing_access, required_access
from extproc.auth.grant import Access, Grant, Rejection
from extproc.evidence.model import Evidence, Unavailable
from extproc.evidence.store import Store, StoreUnavailable
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.operation import Kind, Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag
from extproc.routing.decision import Credential, Forward, Lookup, Refuse, admit, content_kind, resolve
from extproc.routing.policy import Policy

_HOST: Final = re.compile(r"[^/]*[.:][^/]*|localhost")


_UPPER: Final = re.compile(r"[A-Z]")
_TRANSPORT: Final = "docker://"
"""How skopeo and others begin a reference to a registry."""


class RequestUnclear(ValueError):
    """Nobody knows which request is meant; the message says what was given."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything the decision looked at, in plain values that JSON can carry."""

    operation: dict[str, Any]
    grant: dict[str, Any]
    evidence: dict[str, Any] | None
    """None where the decision needs none."""
    decision: dict[str, Any]
    reason: str | None
    """None where the processor does not see the request."""
    words: list[str] = field(default_factory=list)


def request_of_reference(text: str) -> tuple[str, str]:
    """Method and path of the read that a client makes for `[host/]name[:tag|@digest]` (tag `latest` if none).

    Raises ReferenceInvalid.
    """
    text = text.removeprefix(_TRANSPORT)
    first, slash, rest = text.partition("/")
    remainder = rest if slash and _HOST.fullmatch(first) else text
    name, at, digest = remainder.partition("@")
    name, colon, tag = name.partition(":")
    named = Tag(tag if colon else "latest")
    # With both the digest counts, as it does for clients; the tag must be one all the same.
    return "GET", f"/v2/{_name(name)}/manifests/{Digest(digest) if at else named}"


def request_of(words: Sequence[str]) -> tuple[str, str]:
    """Method and path that somebody asks about: `[METHOD] /PATH`, or an image reference.

    Raises ReferenceInvalid, and RequestUnclear for what is neither.
    """
    match list(words):
        case [method, path] if path.startswith("/"):
            return method.upper(), path
        case [path] if path.startswith("/"):
            return "GET", path
        case [reference]:
            return request_of_reference(reference)
        case _:
            raise RequestUnclear(f"{' '.join(words)!r} is neither METHOD /PATH nor one image reference")


def past_the_processor(method: str) -> Explanation:
    """Of `/jwt/auth` where Envoy routes it to the issuer."""
    return Explanation(
        operation={"kind": "token", "method": method, "name": None, "reference": None, "needs": []},
        grant={"status": "not needed", "access": []},
        evidence=None,
        decision={
            "route": "issuer",
            "pinned_to": None,
            "stale": None,
            "learns_from_the_answer": False,
            "invalidates": None,
            "would": None,
        },
        reason=None,
        words=[
            f"operation  {method} token: the issuer's endpoint, where clients get their tokens",
            "grant      not needed",
            "evidence   not needed",
            "decision   issuer: Envoy sends it to sites.issuer, past the processor",
            "reason     none, and so no x-geo-reason in the response",
        ],
    )


def _name(text: str) -> Name:
    try:
        return Name(text)
    except ReferenceInvalid as error:
        if _UPPER.search(text):
            raise ReferenceInvalid(f"{error}: names are in lower case, such as {text.lower()!r}") from error
        raise


async def explain(
    method: str, path: str, credential: Credential, store: Store, policy: Policy, *, assumed: bool = False
) -> Explanation:
    """What would happen to this request now. `assumed`: the credential stands for any that suffices."""
    operation = parse_operation(method, path)
    if assumed:
        credential = Grant(frozenset(required_access(operation)), float("inf"))
        if missing_access(operation, credential):
            raise AssertionError(f"the assumed grant lacks what {operation} needs")
    admitted = admit(operation, credential, policy.rollout, promoted=policy.promoted)
    evidence: Evidence | Unavailable | None = None
    decision: Forward | Refuse
    if isinstance(admitted, Lookup):
        evidence = await _look_up(store, operation)
        # As docker, containerd and podman ask: for every type that a lease can carry.
        decision = resolve(admitted, evidence, LEASED_MEDIA_TYPES, policy)
    else:
        decision = admitted
    return Explanation(
        operation=_operation(operation),
        grant=_grant(credential, assumed),
        evidence=None if evidence is None else _evidence(operation, evidence),
        decision=_decision(decision),
        reason=decision.reason.value,
        words=[*_words(operation, credential, assumed, evidence, decision), *_hints(operation, path)],
    )


async def _look_up(store: Store, operation: Operation) -> Evidence | Unavailable:
    if operation.name is None or operation.reference is None:
        raise AssertionError(f"{operation} needs evidence but has no name or reference")
    try:
        return await store.decide(operation.name, operation.reference)
    except StoreUnavailable as error:
        return Unavailable(str(error))


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "kind": operation.kind.value,
        "method": operation.method,
        "name": operation.name,
        "reference": operation.reference,
        "needs": [_scope(access) for access in required_access(operation)],
    }


def _grant(credential: Credential, assumed: bool) -> dict[str, Any]:
    if credential is None:
        return {"status": "passthrough", "access": []}
    if isinstance(credential, Rejection):
        return {"status": credential.value, "access": []}
    status = "assumed" if assumed else "verified"
    return {"status": status, "access": sorted(_scope(access) for access in credential.access)}


def _evidence(operation: Operation, evidence: Evidence | Unavailable) -> dict[str, Any]:
    if isinstance(evidence, Unavailable):
        return {"available": False, "detail": evidence.detail}
    return {
        "available": True,
        "lease": None if evidence.lease is None else asdict(evidence.lease),
        "digest": evidence.state_as(content_kind(operation)).value,
        "confirmed": evidence.confirmed,
        "write_under_way": evidence.marked,
    }


def _decision(decision: Forward | Refuse) -> dict[str, Any]:
    if isinstance(decision, Refuse):
        return {"answer": decision.status, "asks_for": [_scope(access) for access in decision.wanted]}
    return {
        "route": decision.route.value,
        "pinned_to": decision.pin,
        "stale": decision.stale,
        "learns_from_the_answer": decision.observe,
        "invalidates": None if decision.invalidation is None else asdict(decision.invalidation),
        "would": None if decision.would is None else _would(decision.would),
    }


def _would(decision: Forward | Refuse) -> dict[str, Any]:
    return _decision(decision) | {"reason": decision.reason.value}


def _words(
    operation: Operation,
    credential: Credential,
    assumed: bool,
    evidence: Evidence | Unavailable | None,
    decision: Forward | Refuse,
) -> list[str]:
    about = f" of {operation.name}" if operation.name else ""
    reference = f" {operation.reference}" if operation.reference else ""
    lines = [f"operation  {operation.method} {operation.kind.value}{reference}{about}"]
    grant = _grant(credential, assumed)
    lines.append(f"grant      {grant['status']} {' '.join(grant['access'])}".rstrip())
    match evidence:
        case None:
            lines.append("evidence   not needed")
        case Unavailable(detail=detail):
            lines.append(f"evidence   unavailable: {detail}")
        case Evidence(lease=lease, marked=marked):
            known = f"digest {evidence.state_as(content_kind(operation)).value}"
            if lease is not None:
                known = f"primary said {lease.digest} {lease.age:.1f} s ago; {known}"
            elif isinstance(operation.reference, Tag):
                known = "no lease of this tag"
            lines.append(f"evidence   {known}{'; a write is under way' if marked else ''}")
    lines.append(f"decision   {_outcome(decision)}")
    if isinstance(decision, Forward) and decision.would is not None:
        lines.append(f"in serve   {_outcome(decision.would)}: {decision.would.reason.value}")
    lines.append(f"reason     {decision.reason.value}")
    return lines


def _outcome(decision: Forward | Refuse) -> str:
    if isinstance(decision, Refuse):
        return f"answered here: {decision.status}"
    stale = f", should it fail {decision.stale}" if decision.stale else ""
    return f"{decision.route.value}{f', pinned to {decision.pin}' if decision.pin else ''}{stale}"


def _hints(operation: Operation, path: str) -> list[str]:
    if operation.kind is Kind.UNKNOWN and _UPPER.search(path.partition("?")[0]):
        return ["note       names are in lower case: no registry has one with capital letters"]
    return []


def _scope(access: Access) -> str:
    return f"{access.type}:{access.name}:{access.action}"


__all__ = [
    "Explanation",
    "ReferenceInvalid",
    "RequestUnclear",
    "explain",
    "past_the_processor",
    "request_of",
    "request_of_reference",
]
