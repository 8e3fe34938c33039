"""The error body that registries send (OCI distribution spec 1.1, "Error Codes")."""

from __future__ import annotations

import json
from enum import Enum


class Code(Enum):
    """What went wrong; the value is the `code` on the wire."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    UNAUTHORIZED = "UNAUTHORIZED"
    DENIED = "DENIED"
    UNSUPPORTED = "UNSUPPORTED"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNAVAILABLE = "UNAVAILABLE"
    """distribution's, for a backend that does not answer."""
    UNKNOWN = "UNKNOWN"
    """distribution's, for anything else."""


def error_body(code: Code, message: str, detail: object = None) -> bytes:
    """`{"errors":[{"code":…,"message":…,"detail":…}]}` as compact ASCII JSON.

    `detail` is anything that JSON can hold; None leaves it out. Raises TypeError when JSON cannot hold it.
    """
    error: dict[str, object] = {"code": code.value, "message": message}
    if detail is not None:
        error["detail"] = detail
    return json.dumps({"errors": [error]}, separators=(",", ":")).encode("ascii")
