"""Scopes as clients write them, and what each user gets of them."""

from __future__ import annotations

import pytest

from extproc.sandbox.scope import Scope, parse_scopes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("repository:a/b:pull", Scope("repository", "a/b", ("pull",)), id="one action"),
        pytest.param("repository:a:pull,push", Scope("repository", "a", ("pull", "push")), id="two actions"),
        pytest.param("repository:h:5000/a:pull", Scope("repository", "h:5000/a", ("pull",)), id="port in name"),
        pytest.param("repository(plugin):a:pull", Scope("repository", "a", ("pull",)), id="class"),
        pytest.param("registry:catalog:*", Scope("registry", "catalog", ("*",)), id="catalog"),
        pytest.param("repository:a:", Scope("repository", "a", ()), id="no action"),
        pytest.param("repository:a", None, id="no third part"),
        pytest.param("repository", None, id="one part"),
        pytest.param(":a:pull", None, id="no type"),
        pytest.param("repository::pull", None, id="no name"),
        pytest.param("", None, id="empty"),
    ],
)
def test_parse(text: str, expected: Scope | None) -> None:
    assert Scope.parse(text) == expected


def test_several_parameters_and_several_in_one() -> None:
    found = parse_scopes(["repository:a:pull repository:b:push", "nonsense", "registry:catalog:*"])
    assert [scope.name for scope in found] == ["a", "b", "catalog"]


@pytest.mark.parametrize(
    ("user", "text", "actions"),
    [
        ("admin", "repository:a:pull,push,delete,*", ("pull", "push", "delete", "*")),
        ("admin", "registry:catalog:*", ("*",)),
        ("reader", "repository:a:pull,push,delete,*", ("pull",)),
        ("reader", "registry:catalog:*", ()),
        ("", "repository:public/a:pull,push", ("pull",)),
        ("", "repository:publications/a:pull", ()),
        ("", "repository:public:pull", ()),
        ("", "repository:a/public/b:pull", ()),
        ("", "registry:public/a:pull", ()),
    ],
)
def test_limited_to(user: str, text: str, actions: tuple[str, ...]) -> None:
    scope = Scope.parse(text)
    assert scope is not None
    assert scope.limited_to(user).actions == actions
