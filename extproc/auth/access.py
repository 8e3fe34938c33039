"""Which rights an operation needs (distribution token spec, "access"; distribution's own checks).

Rules
1. GET and HEAD need pull; POST, PUT and PATCH pull and push; DELETE delete.
2. An upload session needs pull and push with any method, its GET, HEAD and DELETE included.
3. A mount needs pull on its source too.
4. `/v2/_catalog` needs `*` on `registry:catalog`.
5. Where no repository is acted on, any verified token will do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from extproc.auth.grant import Access, Grant
from extproc.oci.operation import Kind, Operation
from extproc.oci.reference import Name

_REPOSITORY: Final = "repository"
_CATALOG: Final = (Access("registry", "catalog", "*"),)
_PULL: Final = ("pull",)
_PUSH: Final = ("pull", "push")
_DELETE: Final = ("delete",)
_ACTIONS: Final = {
    Kind.BLOB: _PULL,
    Kind.MANIFEST: _PULL,
    Kind.TAGS_LIST: _PULL,
    Kind.REFERRERS: _PULL,
    Kind.MANIFEST_PUT: _PUSH,
    Kind.UPLOAD: _PUSH,
    Kind.WRITE: _PUSH,
    Kind.MANIFEST_DELETE: _DELETE,
    Kind.BLOB_DELETE: _DELETE,
}


def required_access(operation: Operation) -> tuple[Access, ...]:
    """Every right that the operation needs, in the order in which a challenge names them."""
    if operation.kind is Kind.CATALOG:
        return _CATALOG
    name = operation.name
    if name is None:
        return ()
    deletes = operation.kind is Kind.WRITE and operation.method == "DELETE"
    actions = _DELETE if deletes else _ACTIONS[operation.kind]
    return _on_repository(name, actions, operation.mount_from)


@lru_cache(maxsize=4096)
def _on_repository(name: Name, actions: tuple[str, ...], source: Name | None) -> tuple[Access, ...]:
    # Names that are asked for are asked for again.
    needed = tuple(Access(_REPOSITORY, name, action) for action in actions)
    return needed if source is None else (*needed, Access(_REPOSITORY, source, "pull"))


def missing_access(operation: Operation, grant: Grant) -> tuple[Access, ...]:
    """The rights that the operation needs and the grant lacks; empty when it is allowed."""
    needed = required_access(operation)
    for access in needed:
        if not grant.permits(access):
            return tuple(access for access in needed if not grant.permits(access))
    return ()


def grants_push(grant: Grant, name: str) -> bool:
    """Whether the token may push to the repository (`push` or `*`)."""
    return grant.allows(_REPOSITORY, name, "push")
