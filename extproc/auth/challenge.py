"""The 401 that tells a client where to get a token, and for what (distribution token spec).

Header (RFC 9110 §11.6.1, RFC 6750 §3):
    Bearer realm="…",service="…",scope="repository:a/b:pull,push repository:c/d:pull",error="…"
Body: error code UNAUTHORIZED with one detail for each action, as distribution sends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from extproc.auth.grant import Access
from extproc.oci.error import Code, error_body

_UNPRINTABLE: Final = re.compile(r"[^ -~]")


# Known by its identity: answers are remembered by it, and a hash of its fields would be made for each.
@dataclass(frozen=True, slots=True, eq=False)
class Challenge:
    """The token endpoint, as clients reach it, and the service for which it issues tokens.

    Raises ValueError when a value holds anything but printable ASCII, which no header can carry.
    """

    realm: str
    service: str

    def __post_init__(self) -> None:
        for field, value in (("realm", self.realm), ("service", self.service)):
            if _UNPRINTABLE.search(value):
                raise ValueError(f"{field} {value!r} must be printable ASCII: percent-encode other characters")

    def header(self, accesses: Sequence[Access], error: str | None) -> str:
        """The value of `WWW-Authenticate`; printable ASCII whatever the arguments hold.

        `accesses` are the rights that the operation needs, none for /v2/. `error` is `invalid_token`,
        `insufficient_scope`, or None when no token was sent (RFC 6750 §3.1).
        """
        parts = [f"realm={_quoted(self.realm)}", f"service={_quoted(self.service)}"]
        if accesses:
            parts.append(f"scope={_quoted(_scope(accesses))}")
        if error is not None:
            parts.append(f"error={_quoted(error)}")
        return "Bearer " + ",".join(parts)

    def body(self, accesses: Sequence[Access]) -> bytes:
        """The JSON body; `accesses` as for the header."""
        detail = [{"Type": a.type, "Class": "", "Name": a.name, "Action": a.action} for a in accesses]
        return error_body(Code.UNAUTHORIZED, "authentication required", detail or None)


def _scope(accesses: Sequence[Access]) -> str:
    """One scope for each resource, in the order of first mention."""
    actions: dict[tuple[str, str], list[str]] = {}
    for access in accesses:
        wanted = actions.setdefault((access.type, access.name), [])
        if access.action not in wanted:
            wanted.append(access.action)
    return " ".join(f"{type_}:{name}:{','.join(wanted)}" for (type_, name), wanted in actions.items())


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 §5.6.4). What a header cannot carry becomes `?`."""
    return '"' + _UNPRINTABLE.sub("?", text).replace("\\", "\\\\").replace('"', '\\"') + '"'
