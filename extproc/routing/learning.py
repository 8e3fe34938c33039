"""What one finished exchange proves: pure, and deliberately narrow.

Answers, each on purpose
- 200 proves a manifest or a blob.
- 206 (a range) and 307 (to object storage) prove a blob: registries look it up before they answer so.
- 304 proves nothing: registries compare the client's ETag before they look anything up.
- The primary's proof on a second attempt means that the secondary did not deliver: absent for a moment, whether
  it had lost the bytes, refused them or was down.
- No other answer on a second attempt proves anything: Envoy's own 503, when both sites are down, carries the
  primary's name too, and must not send the next read away from a secondary that is back.
"""

from __future__ import annotations

from typing import Final

from extproc.evidence.model import ContentKind, DigestState, Observation
from extproc.oci.media_type import LEASED_MEDIA_TYPES, bare_media_type
from extproc.oci.operation import Operation
from extproc.oci.reference import Digest, ReferenceInvalid, Tag
from extproc.routing.decision import Forward, Route, content_kind
from extproc.routing.message import ResponseHead

_BLOB_PROVEN: Final = frozenset({200, 206, 307})


def observation_of(operation: Operation, decision: Forward, response: ResponseHead) -> Observation | None:
    """What `response` shows of the reference that was asked for; None when it shows nothing.

    `response.site` is the answering endpoint's own metadata, empty when unknown.
    """
    asked = decision.pin or operation.reference
    if isinstance(asked, Digest):
        return _digest_observed(content_kind(operation), asked, decision.route, response)
    if isinstance(asked, Tag):
        return _tag_observed(asked, response)
    return None


def _tag_observed(tag: Tag, response: ResponseHead) -> Observation | None:
    media_type = bare_media_type(response.content_type)
    if response.site != "primary" or response.status != 200 or media_type not in LEASED_MEDIA_TYPES:
        return None
    try:
        digest = Digest(response.digest)
    except ReferenceInvalid:
        return None
    return Observation(digest, tag=tag, media_type=media_type, primary_has=True)


def _digest_observed(kind: ContentKind, asked: Digest, route: Route, response: ResponseHead) -> Observation | None:
    if response.digest not in {"", asked}:
        return None
    proven = response.status in _BLOB_PROVEN if kind is ContentKind.BLOB else response.status == 200
    if response.site == "secondary":
        return Observation(asked, secondary=DigestState.PRESENT, kind=kind) if proven else None
    if response.site != "primary" or not proven:
        return None
    fell_back = route is Route.SECONDARY and response.attempts > 1
    secondary = DigestState.ABSENT if fell_back else DigestState.UNKNOWN
    return Observation(asked, secondary=secondary, primary_has=True, kind=kind)
