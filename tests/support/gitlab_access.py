"""What a token must grant. A part of the stand-in in gitlab_registry.py.

[api] gitlab.com/gitlab-org/container-registry, docs/spec/gitlab/api.md, "Authentication". That the listing of the
repositories below a path needs `<path>/*` too is written only in the code (registry/handlers/app.go).
"""

from __future__ import annotations

from collections.abc import Sequence

Need = tuple[str, str, str]
"""Type, name and action."""


def needs_of(method: str, route: str, parts: dict[str, str]) -> Sequence[Need]:
    """[api] GET and HEAD need pull, PUT, POST and PATCH push too, DELETE delete."""
    if route == "catalog":
        return [("registry", "catalog", "*")]
    name = parts.get("name")
    if name is None:
        return []
    actions = {"GET": ["pull"], "HEAD": ["pull"], "DELETE": ["delete"]}.get(method, ["pull", "push"])
    needs = [("repository", name, action) for action in actions]
    if route == "repositories" or (route == "repository" and method == "PATCH"):
        needs.append(("repository", f"{name}/*", "pull"))
    return needs
