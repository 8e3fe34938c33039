"""What each reason means, in a sentence for whoever sees it on the page; docs/reasons.md says more."""

from __future__ import annotations

from typing import Final

from extproc.routing.reason import Reason

MEANING: Final = {
    Reason.TOKEN_MISSING: "no token: the client is told where to get one, which every login begins with",
    Reason.TOKEN_EXPIRED: "the token is too old: the client gets a new one",
    Reason.TOKEN_INVALID: "not a token of our issuer",
    Reason.SCOPE_INSUFFICIENT: "the token is good, but not for this",
    Reason.TOKEN_UNVERIFIABLE: "signed with a key that is not known here: the primary judges it",
    Reason.API_BASE: "the question whether this is a registry",
    Reason.WRITE: "writes are the primary's",
    Reason.UPLOAD_SESSION: "uploads are the primary's",
    Reason.PUSH_TOKEN: "who may push is answered by the primary, lest a push skip a layer",
    Reason.POSSIBLE_PUSH: "it may be a push that asks what it can skip",
    Reason.DIGEST_PRESENT: "this site has it",
    Reason.DIGEST_UNKNOWN: "this site is asked first; what it lacks the primary gives",
    Reason.DIGEST_ABSENT: "this site does not have it yet",
    Reason.DIGEST_DELETED: "it was deleted on the primary",
    Reason.TAG_VERIFIED: "the primary lately named the tag's digest, and this site has it",
    Reason.TAG_UNVERIFIED: "nothing usable is known of this tag: the primary answers, and what it says is kept",
    Reason.TAG_STALE: "what the primary said of this tag is too old: it is asked anew",
    Reason.LISTING: "lists are the primary's",
    Reason.GITLAB_API: "GitLab's own API is the primary's",
    Reason.UNKNOWN_OPERATION: "nothing that a registry is known to offer: the primary judges it",
    Reason.NAME_INVALID: "a write whose name cannot be read as the registry would",
    Reason.EVIDENCE_UNAVAILABLE: "the store is away",
    Reason.MODE_OBSERVE: "the rollout only observes",
    Reason.MODE_PRIMARY_ONLY: "the rollout sends everything to the primary",
    Reason.NAME_EXCLUDED: "the rollout leaves this name out",
    Reason.PERCENTAGE_EXCLUDED: "the rollout does not reach this name yet",
    Reason.PROMOTED: "this site is the primary",
}


def meaning(reason: str) -> str:
    """Empty for a word that is none of ours."""
    try:
        return MEANING[Reason(reason)]
    except ValueError:
        return ""
