"""`parse_operation` against the specification's grammar, said once more as one regular expression for each route.

An input is a method, a space and a path with its query. The oracle shares no code with the parser: it reads paths
from the left with whole patterns, as distribution's router does, where the parser takes them apart from the right.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import unquote

from extproc.oci.operation import Kind, Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Name, Tag
from extproc.routing.decision import invalidation_of

# OCI distribution spec 1.1, "Pulling manifests"; image spec, "Digests".
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
_TAG: Final = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_DIGEST: Final = r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"
_ROUTES: Final = {
    route: re.compile(pattern, re.ASCII)
    for route, pattern in {
        "base": r"/v2/",
        "catalog": r"/v2/_catalog",
        "manifest": rf"/v2/{_NAME}/manifests/(?P<reference>{_TAG}|{_DIGEST})",
        "blob": rf"/v2/{_NAME}/blobs/(?P<reference>{_DIGEST})",
        "upload": rf"/v2/{_NAME}/blobs/uploads(?:/[!-.0-~]*)?",
        "tags": rf"/v2/{_NAME}/tags/list",
        "tag": rf"/v2/{_NAME}/tags/reference/(?P<reference>{_TAG})",
        "referrers": rf"/v2/{_NAME}/referrers/(?P<reference>{_DIGEST})",
    }.items()
}
_READS: Final = {
    "base": Kind.API_BASE,
    "catalog": Kind.CATALOG,
    "manifest": Kind.MANIFEST,
    "blob": Kind.BLOB,
    "upload": Kind.UPLOAD,
    "tags": Kind.TAGS_LIST,
    "referrers": Kind.REFERRERS,
}
_WRITES: Final = {
    ("PUT", "manifest"): Kind.MANIFEST_PUT,
    ("DELETE", "manifest"): Kind.MANIFEST_DELETE,
    ("DELETE", "tag"): Kind.MANIFEST_DELETE,
    ("DELETE", "blob"): Kind.BLOB_DELETE,
}
_TO_PRIMARY: Final = frozenset({Kind.UNKNOWN, Kind.GITLAB_API})
_LONGEST_NAME: Final = 255
_LONGEST_FAULT: Final = 2000
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check(data: bytes) -> str:
    method, _, path = data.decode("latin-1").partition(" ")
    operation = parse_operation(method, path)
    target, _, query = path.partition("?")
    _well_formed(operation, method, target)
    if method in {"GET", "HEAD"}:
        _read(operation, target)
    elif method in {"PUT", "POST", "PATCH", "DELETE"}:
        _write(operation, method, target, query)
    else:
        assert operation.kind in _TO_PRIMARY, "a method that we do not know is not ours to judge"
    return operation.kind.value


def _well_formed(operation: Operation, method: str, target: str) -> None:
    assert operation.method == method
    name, reference = operation.name, operation.reference
    if name is not None:
        assert Name(str(name)) == name
        assert f"/v2/{name}/" in target, "the name is not in the path as it stands"
    if reference is not None:
        assert (Digest if ":" in reference else Tag)(str(reference)) == reference
        assert target.endswith(f"/{reference}"), "the reference is not the path's end"
        assert name is not None
    assert (operation.kind is Kind.MALFORMED) == bool(operation.fault)
    assert operation.fault.isascii()
    assert operation.fault.isprintable() and len(operation.fault) < _LONGEST_FAULT


def _read(operation: Operation, target: str) -> None:
    assert operation.mount_from is None and not operation.moves_other_tags
    assert invalidation_of(operation) is None
    if not _canonical(target):
        assert operation.kind in _TO_PRIMARY, "a read that is not canonical is the primary's"
        _no_way_out(operation, target)
        return
    route, name, reference = _routed(target)
    expected = Kind.GITLAB_API if target.startswith("/gitlab/v1/") else _READS.get(route, Kind.UNKNOWN)
    assert operation.kind is expected, f"{operation.kind} for the route {route!r}"
    if expected not in _TO_PRIMARY:
        assert (operation.name, operation.reference) == (name, reference)


def _write(operation: Operation, method: str, target: str, query: str) -> None:
    if operation.kind is Kind.GITLAB_API:
        _no_way_out(operation, target)
        return
    if not _canonical(target):
        assert operation.kind is Kind.MALFORMED, "a write that a registry might read otherwise"
        return
    route, name, reference = _routed(target)
    expected = _WRITES.get((method, route))
    if expected is not None:
        assert (operation.kind, operation.name, operation.reference) == (expected, name, reference)
    elif route == "upload":
        assert (operation.kind, operation.name) == (Kind.UPLOAD, name)
    else:
        assert operation.kind in {Kind.WRITE, Kind.UNKNOWN, Kind.MALFORMED}
    values = _form(query)
    if operation.kind is Kind.MANIFEST_PUT and ":" in (reference or "") and any(key == "tag" for key, _ in values):
        assert operation.moves_other_tags, "further tags that a registry would move"
    first = dict(reversed(values))
    # A query that registries read differently is left to the primary, which checks the token for the source too.
    clear = ";" not in query and _BAD_ESCAPE.search(query) is None
    if method == "POST" and route == "upload" and first.get("mount") and clear:
        source = first.get("from", "")
        valid = len(source) <= _LONGEST_NAME and re.fullmatch(_NAME, source, re.ASCII)
        assert operation.mount_from == (source if valid else None)


def _canonical(target: str) -> bool:
    """Whether every registry, proxy and router reads the same path here."""
    plain = target.startswith("/") and all("!" <= each <= "~" for each in target) and not set(target) & set("%;\\#")
    return plain and posixpath.normpath("/" + target.lstrip("/")) == (target.rstrip("/") or "/") and _ending(target)


def _ending(target: str) -> bool:
    """One slash at the end at most; below /v2/ only where the specification has it."""
    if not target.endswith("/"):
        return True
    if target.endswith("//"):
        return False
    return target == "/v2/" or target.endswith("/blobs/uploads/") or not target.startswith("/v2/")


def _routed(target: str) -> tuple[str, str | None, str | None]:
    for route, pattern in _ROUTES.items():
        match = pattern.fullmatch(target)
        if match is not None:
            found = match.groupdict()
            name = found.get("name")
            if name is None or len(name) <= _LONGEST_NAME:
                return route, name, found.get("reference")
    return "", None, None


def _no_way_out(operation: Operation, target: str) -> None:
    """GitLab's API touches no evidence, so nothing under it may lead a registry back to /v2/."""
    if operation.kind is Kind.GITLAB_API and _BAD_ESCAPE.search(target) is None:
        led = posixpath.normpath(unquote(target, "latin-1").replace("\\", "/"))
        assert led.startswith("/gitlab/v1"), f"it leads to {led!r}"


def _form(query: str) -> list[tuple[str, str]]:
    """As Go's url.ParseQuery reads it: pairs with a broken escape or a semicolon are left out."""
    pairs = []
    for pair in query.split("&"):
        if pair and ";" not in pair and _BAD_ESCAPE.search(pair) is None:
            key, _, value = pair.partition("=")
            pairs.append((unquote(key.replace("+", " "), "latin-1"), unquote(value.replace("+", " "), "latin-1")))
    return pairs
