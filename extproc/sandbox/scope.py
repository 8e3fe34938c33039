"""A token's scope: `repository:group/app:pull,push`, and what each throw-away user may do of it.

Source: distribution's token specification, "scope"; a resource's name may hold colons (`host:5000/app`), so the
type is what comes before the first and the actions what comes after the last.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSWORDS = {"admin": "admin", "reader": "reader"}
ANONYMOUS = ""
PUBLIC = "public/"


@dataclass(frozen=True, slots=True)
class Scope:
    type: str
    name: str
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Scope | None:
        """None for a text that is not a scope; an issuer skips those."""
        kind, first, rest = text.partition(":")
        name, last, actions = rest.rpartition(":")
        if not (first and last and kind and name):
            return None
        # "repository(plugin)" is the type with a class, which no registry here uses.
        return cls(kind.partition("(")[0], name, tuple(action for action in actions.split(",") if action))

    def limited_to(self, user: str) -> Scope:
        """The part that `user` may do."""
        return Scope(self.type, self.name, tuple(action for action in self.actions if self._may(user, action)))

    def _may(self, user: str, action: str) -> bool:
        if user == "admin":
            return True
        if self.type != "repository" or action != "pull":
            return False
        return user == "reader" or self.name.startswith(PUBLIC)


def parse_scopes(parameters: list[str]) -> list[Scope]:
    """The parameter may come several times, and each may hold several scopes with spaces between (RFC 6749)."""
    found = (Scope.parse(text) for parameter in parameters for text in parameter.split())
    return [scope for scope in found if scope is not None]
