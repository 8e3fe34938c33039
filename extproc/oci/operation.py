"""What a request asks of a registry: one frozen `Operation`, parsed once from method and path.

The rules of reading one are in extproc/oci/parse.py, `parse_operation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from extproc.oci.reference import Digest, Name, Tag
from extproc.oci.word import Word


class Kind(Word):
    """The operations of OCI distribution spec 1.1 and their neighbours, as routing tells them apart."""

    API_BASE = "api-base"
    """GET, HEAD /v2/"""
    BLOB = "blob"
    """GET, HEAD /v2/<name>/blobs/<digest>"""
    MANIFEST = "manifest"
    """GET, HEAD /v2/<name>/manifests/<reference>"""
    MANIFEST_PUT = "manifest-put"
    MANIFEST_DELETE = "manifest-delete"
    """Also GitLab's DELETE /v2/<name>/tags/reference/<tag>."""
    BLOB_DELETE = "blob-delete"
    UPLOAD = "upload"
    """Any method on an upload session, its start and a mount included."""
    WRITE = "write"
    """POST, PUT, PATCH or DELETE on another path of the known shapes, under a readable name."""
    TAGS_LIST = "tags-list"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    GITLAB_API = "gitlab-api"
    """GitLab's registry API under /gitlab/v1/."""
    UNKNOWN = "unknown"
    MALFORMED = "malformed"
    """A write that must be refused: parse.py, rule 3."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request's meaning. `name` is set for every kind that acts on one repository."""

    kind: Kind
    method: str
    name: Name | None = None
    reference: Tag | Digest | None = None
    """Of a manifest (tag or digest), blob or referrers (digest)."""
    mount_from: Name | None = None
    """The source of a cross-repository mount named in the query (`?mount=…&from=…`)."""
    moves_other_tags: bool = False
    """A manifest PUT by digest whose query may move tags (`?tag=…`)."""
    fault: str = ""
    """For MALFORMED: one sentence that names the value."""
