"""What a verified token allows, and the ways in which a credential is not one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from extproc.oci.word import Word


class Access(NamedTuple):
    """One action on one resource, such as ("repository", "group/app", "pull")."""

    type: str
    name: str
    action: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A verified token's rights. Names match exactly; the action `*` satisfies any (token spec, "access")."""

    access: frozenset[Access]
    expires_at: float
    """`exp`, in seconds since the Unix epoch."""
    subject: str = ""

    def permits(self, wanted: Access) -> bool:
        return self.allows(wanted.type, wanted.name, wanted.action)

    def allows(self, type_: str, name: str, action: str) -> bool:
        """The same of an access that is not made for it."""
        return (type_, name, action) in self.access or (type_, name, "*") in self.access


class Rejection(Word):
    """Why there is no grant."""

    MISSING = "missing"
    """No bearer token was sent."""
    EXPIRED = "expired"
    INVALID = "invalid"
    UNVERIFIABLE = "unverifiable"
    """Signed by a key that we do not know: after a rotation only the primary can judge."""
