"""The reason codes: the same word in the response header, span, metric, log and `explain` (promise P8)."""

from __future__ import annotations

from extproc.oci.word import Word


class Reason(Word):
    """Why a request went where it went. One per decision; docs/reasons.md has a paragraph for each."""

    TOKEN_MISSING = "token-missing"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_INVALID = "token-invalid"
    SCOPE_INSUFFICIENT = "scope-insufficient"
    TOKEN_UNVERIFIABLE = "token-unverifiable"
    API_BASE = "api-base"
    WRITE = "write"
    UPLOAD_SESSION = "upload-session"
    PUSH_TOKEN = "push-token"
    POSSIBLE_PUSH = "possible-push"
    """Only with auth = "passthrough": a HEAD by digest may be a push asking what it can skip."""
    DIGEST_PRESENT = "digest-present"
    DIGEST_UNKNOWN = "digest-unknown"
    DIGEST_ABSENT = "digest-absent"
    DIGEST_DELETED = "digest-deleted"
    TAG_VERIFIED = "tag-verified"
    TAG_UNVERIFIED = "tag-unverified"
    TAG_STALE = "tag-stale"
    LISTING = "listing"
    GITLAB_API = "gitlab-api"
    UNKNOWN_OPERATION = "unknown-operation"
    NAME_INVALID = "name-invalid"
    """A write refused because its name cannot be read as the registry would."""
    EVIDENCE_UNAVAILABLE = "evidence-unavailable"
    MODE_OBSERVE = "mode-observe"
    """The primary answers, for `rollout.mode` lets us only note what we would have done."""
    MODE_PRIMARY_ONLY = "mode-primary-only"
    NAME_EXCLUDED = "name-excluded"
    PERCENTAGE_EXCLUDED = "percentage-excluded"
    PROMOTED = "promoted"
    """This site is the primary (`sites.role`)."""
