"""Short ways to write the heads of an exchange."""

from __future__ import annotations

from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.routing.message import RequestHead, ResponseHead

INDEX = "application/vnd.oci.image.index.v1+json"
EVERY_TYPE = (", ".join(sorted(LEASED_MEDIA_TYPES)),)


def request(method: str, path: str, *, accept: tuple[str, ...] = EVERY_TYPE, token: str = "") -> RequestHead:
    authorization = (f"Bearer {token}",) if token else ()
    return RequestHead(method, path, authorization, accept, True)


def response(
    status: int, site: str, *, digest: str = "", attempts: int = 1, content_type: str = INDEX
) -> ResponseHead:
    return ResponseHead(status, digest, content_type, site, attempts)
