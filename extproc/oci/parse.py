"""From method and path to an `Operation` (OCI distribution spec 1.1, "Endpoints").

Rules
1. Parse from the right, for a name may hold segments such as `blobs` or `manifests`: the last two
   segments decide, as they do in distribution's router, whose references never hold a slash.
2. A read whose path is not canonical is UNKNOWN: the primary judges it, we never serve it locally.
   Canonical: printable ASCII without `%`, `;`, `\\` and `#`, no empty or dot segment, no trailing slash
   but that of `/v2/` and `/v2/<name>/blobs/uploads/`.
3. A write is MALFORMED, which the edge refuses with 400, when a registry might act on a name or digest
   that we cannot read, for that would leave stale evidence behind: a path that is not canonical
   (distribution decodes `/%76%32/a/manifests/b` and obeys), or a reference with a colon that is not a
   sha256 or sha512 digest.
4. A name outside the grammar is UNKNOWN, for a write too: no read of that name is ever served locally,
   so there is nothing to go stale, and the primary refuses it in its own words.
5. The query never changes the operation, except that it can name a mount's source or further tags.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from extproc.oci.operation import Kind, Operation
from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag, parse_reference

_READS: Final = frozenset(("GET", "HEAD"))
_WRITES: Final = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_ROOT: Final = "/v2/"
_GITLAB: Final = "/gitlab/v1/"
_UPLOADS: Final = "/blobs/uploads/"
_PLAIN: Final = re.compile(r"/[!-~]*", re.ASCII)
_AMBIGUOUS: Final = re.compile(r"[%;\\#]|//|/\.{1,2}(?:/|\Z)")
_CLIMBING: Final = re.compile(r"\\|//|/\.{1,2}(?:/|\Z)")
_LONGEST_KEPT: Final = 512
"""Characters: a client chooses its paths, and must not fill memory with long ones."""
_SHOWN: Final = 200
"""Characters of a path that a fault repeats."""

_READ_KINDS: Final = {
    "manifests": Kind.MANIFEST,
    "blobs": Kind.BLOB,
    "referrers": Kind.REFERRERS,
    "tags/list": Kind.TAGS_LIST,
    "uploads": Kind.UPLOAD,
}
_WRITE_KINDS: Final = {
    ("PUT", "manifests"): Kind.MANIFEST_PUT,
    ("DELETE", "manifests"): Kind.MANIFEST_DELETE,
    ("DELETE", "tags/reference"): Kind.MANIFEST_DELETE,
    ("DELETE", "blobs"): Kind.BLOB_DELETE,
}


class _Location(NamedTuple):
    """A path below /v2/, taken apart."""

    name: Name
    shape: str
    """manifests, blobs, uploads, tags, tags/list, tags/reference, referrers"""
    last: str
    """The last segment: a reference, a digest, an upload's id or ""."""


def parse_operation(method: str, path: str) -> Operation:
    """The meaning of one request; never raises.

    `method` and `path` are the pseudo-headers `:method` and `:path`, the latter with its query, decoded
    as latin-1 (RFC 9113 §8.3.1).
    """
    return _kept(method, path) if len(path) <= _LONGEST_KEPT else _parse(method, path)


def _parse(method: str, path: str) -> Operation:
    target, _, query = path.partition("?")
    if target.startswith(_GITLAB) and _CLIMBING.search(unquote(target, "latin-1")) is None:
        return Operation(Kind.GITLAB_API, method)
    if method in _READS:
        return _read(method, target)
    if method in _WRITES:
        return _write(method, target, query)
    return Operation(Kind.UNKNOWN, method)


_kept: Final = lru_cache(maxsize=4096)(_parse)
"""The same images are pulled again and again, and their paths mean the same each time."""


def _read(method: str, target: str) -> Operation:
    if target == _ROOT:
        return Operation(Kind.API_BASE, method)
    if target == "/v2/_catalog":
        return Operation(Kind.CATALOG, method)
    at = _locate(target) if _is_canonical(target) else None
    kind = None if at is None else _READ_KINDS.get(at.shape)
    if at is None or kind is None:
        return Operation(Kind.UNKNOWN, method)
    if kind in (Kind.TAGS_LIST, Kind.UPLOAD):
        return Operation(kind, method, at.name)
    try:
        reference = parse_reference(at.last) if kind is Kind.MANIFEST else Digest(at.last)
    except ReferenceInvalid:
        return Operation(Kind.UNKNOWN, method)
    return Operation(kind, method, at.name, reference)


def _write(method: str, target: str, query: str) -> Operation:
    if not _is_canonical(target):
        return Operation(Kind.MALFORMED, method, fault=f"the path {_shown(target)} is not in canonical form")
    at = _locate(target)
    if at is None:
        return Operation(Kind.UNKNOWN, method)
    if at.shape == "uploads":
        source = _mount_source(query) if method == "POST" else None
        return Operation(Kind.UPLOAD, method, at.name, mount_from=source)
    kind = _WRITE_KINDS.get((method, at.shape))
    if kind is None:
        return Operation(Kind.WRITE, method, at.name)
    return _write_of_reference(kind, method, at, query)


def _write_of_reference(kind: Kind, method: str, at: _Location, query: str) -> Operation:
    reference: Tag | Digest
    try:
        if at.shape == "manifests":
            reference = parse_reference(at.last)
        else:
            reference = Digest(at.last) if at.shape == "blobs" else Tag(at.last)
    except ReferenceInvalid:
        if ":" in at.last and at.shape != "tags/reference":
            fault = f"the reference {_shown(at.last)} is not a sha256 or sha512 digest"
            return Operation(Kind.MALFORMED, method, fault=fault)
        return Operation(Kind.WRITE, method, at.name)
    moves = kind is Kind.MANIFEST_PUT and isinstance(reference, Digest) and _names_tags(query)
    return Operation(kind, method, at.name, reference, moves_other_tags=moves)


def _is_canonical(target: str) -> bool:
    """Rule 2. Outside /v2/ a trailing slash hides nothing."""
    if _PLAIN.fullmatch(target) is None or _AMBIGUOUS.search(target) is not None:
        return False
    return not target.endswith("/") or target.endswith(_UPLOADS) or target == _ROOT or not target.startswith(_ROOT)


def _locate(target: str) -> _Location | None:
    """The parts of a canonical path; None when it is no route of a repository or its name is invalid."""
    parts = target[len(_ROOT) :].rsplit("/", 2) if target.startswith(_ROOT) else ()
    if len(parts) != 3:
        return None
    name, shape, last = parts
    if shape == "uploads" and name.endswith("/blobs"):
        name = name.removesuffix("/blobs")
    elif shape == "reference" and name.endswith("/tags"):
        name, shape = name.removesuffix("/tags"), "tags/reference"
    elif shape == "blobs" and last == "uploads":
        # distribution redirects to the form with the slash; others take it as it is.
        shape, last = "uploads", ""
    elif shape == "tags" and last == "list":
        shape = "tags/list"
    elif shape not in ("manifests", "blobs", "tags", "referrers"):
        return None
    try:
        return _Location(Name(name), shape, last)
    except ReferenceInvalid:
        return None


def _mount_source(query: str) -> Name | None:
    """`from` of `?mount=<digest>&from=<name>` (spec, "Mounting a blob from another repository").

    None when it is absent or not a name: then the primary, which checks the token too, judges alone. The
    first value counts, as in Go's FormValue.
    """
    values: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(key, value)
    if not values.get("mount"):
        return None
    try:
        return Name(values.get("from", ""))
    except ReferenceInvalid:
        return None


def _names_tags(query: str) -> bool:
    """Whether any parameter is called `tag`; Go before 1.17 separates parameters by `;` too."""
    return any(key == "tag" for key, _ in parse_qsl(query.replace(";", "&"), keep_blank_values=True))


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
