"""The name, tokens and evidence that the tables of the decision are about."""

from __future__ import annotations

from extproc.auth.grant import Access, Grant
from extproc.evidence.model import ContentKind, DigestState, Evidence, Lease, Snapshot
from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.reference import Digest

NAME = "g/app"
D1, D2 = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
INDEX = "application/vnd.oci.image.index.v1+json"
ALL = LEASED_MEDIA_TYPES
"""An `Accept` that covers every lease."""


def grant(*actions: str, name: str = NAME) -> Grant:
    """A token that never expires."""
    return Grant(frozenset(Access("repository", name, action) for action in actions), 1e12)


PULL = grant("pull")
PUSH = grant("pull", "push")
DELETE = grant("pull", "delete")


def evidence(
    state: DigestState = DigestState.UNKNOWN,
    lease: Lease | None = None,
    *,
    marked: bool = False,
    confirmed: float | None = None,
    deleted_as: ContentKind | None = None,
) -> Evidence:
    return Evidence(Snapshot(b"e", b"g", 1), marked, lease, state, confirmed, deleted_as)


NOTHING = evidence()
