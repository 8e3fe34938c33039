"""What a grant permits: actions and names by the letter."""

from __future__ import annotations

import pytest

from extproc.auth.grant import Access, Grant


@pytest.mark.parametrize(
    ("granted", "wanted", "permitted"),
    [
        pytest.param(("repository", "a/b", "pull"), ("repository", "a/b", "pull"), True, id="the same"),
        pytest.param(("repository", "a/b", "*"), ("repository", "a/b", "delete"), True, id="asterisk is any action"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "a/b", "push"), False, id="another action"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "a/b", "*"), False, id="one action is not any"),
        pytest.param(("repository", "a/b", "push"), ("repository", "a/b", "pull"), False, id="push is not pull"),
        pytest.param(("repository", "a/b", "Pull"), ("repository", "a/b", "pull"), False, id="upper case action"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "a", "pull"), False, id="prefix wanted"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "a/b/c", "pull"), False, id="longer name wanted"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "a/bb", "pull"), False, id="longer word wanted"),
        pytest.param(("repository", "a/b", "pull"), ("repository", "b", "pull"), False, id="suffix wanted"),
        pytest.param(("repository", "a/*", "pull"), ("repository", "a/b", "pull"), False, id="name is no pattern"),
        pytest.param(("repository", "*", "*"), ("repository", "a/b", "pull"), False, id="asterisk is a name"),
        pytest.param(("repository", "A/b", "pull"), ("repository", "a/b", "pull"), False, id="upper case name"),
        pytest.param(("repository", "", "*"), ("repository", "a/b", "pull"), False, id="empty name"),
        pytest.param(("registry", "a/b", "*"), ("repository", "a/b", "pull"), False, id="another type"),
        pytest.param(("repository(x)", "a/b", "*"), ("repository", "a/b", "pull"), False, id="another class"),
        pytest.param(("registry", "catalog", "*"), ("registry", "catalog", "*"), True, id="catalog"),
        pytest.param(
            ("repository", "catalog", "*"), ("registry", "catalog", "*"), False, id="a name like the catalog"
        ),
    ],
)
def test_permits(granted: tuple[str, str, str], wanted: tuple[str, str, str], permitted: bool) -> None:
    assert Grant(frozenset({Access(*granted)}), 0).permits(Access(*wanted)) is permitted


def test_no_access_permits_nothing() -> None:
    assert not Grant(frozenset(), 0).permits(Access("repository", "a", "pull"))
