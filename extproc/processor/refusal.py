"""A refusal as the client gets it: status, headers and body, as the OCI and token specifications have them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from extproc.auth.challenge import Challenge
from extproc.auth.grant import Access
from extproc.oci.error import Code, error_body
from extproc.processor.codec import encode_answer
from extproc.routing.decision import Refuse
from extproc.routing.reason import Reason

REASON_HEADER: Final = "x-geo-reason"
_ALWAYS: Final = (
    ("content-type", "application/json; charset=utf-8"),
    ("docker-distribution-api-version", "registry/2.0"),
)
_ERRORS: Final = {
    Reason.TOKEN_EXPIRED: "invalid_token",
    Reason.TOKEN_INVALID: "invalid_token",
    Reason.SCOPE_INSUFFICIENT: "insufficient_scope",
}


def encode_refusal(refusal: Refuse, challenge: Challenge, *, show_reason: bool) -> bytes:
    """The reply that answers the client. `show_reason`: with `x-geo-reason`."""
    if refusal.status == 401:
        return _unauthorized(challenge, refusal.reason, refusal.wanted, show_reason)
    headers = _headers(refusal.reason, show_reason)
    if refusal.status == 503:
        headers.append(("retry-after", "1"))
        body = error_body(Code.UNAVAILABLE, refusal.fault)
    else:
        body = error_body(Code.NAME_INVALID, refusal.fault)
    return encode_answer(refusal.status, headers, body, refusal.reason.value)


@lru_cache(maxsize=1024)
def _unauthorized(challenge: Challenge, reason: Reason, wanted: tuple[Access, ...], show_reason: bool) -> bytes:
    # Each login and many a pull begins with one, for the same names again and again. A name has 255 characters.
    headers = _headers(reason, show_reason)
    headers.append(("www-authenticate", challenge.header(wanted, _ERRORS.get(reason))))
    return encode_answer(401, headers, challenge.body(wanted), reason.value)


def _headers(reason: Reason, show_reason: bool) -> list[tuple[str, str]]:
    return [*_ALWAYS, (REASON_HEADER, reason.value)] if show_reason else list(_ALWAYS)
