"""Method × operation × type × name × action."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.auth.access import grants_push, missing_access, required_access
from extproc.auth.grant import Access, Grant
from extproc.oci.operation import Kind
from extproc.oci.parse import parse_operation

D = "sha256:" + "a" * 64


def rights(*texts: str) -> tuple[Access, ...]:
    """`type:name:action` each."""
    return tuple(Access(*text.split(":")) for text in texts)


def grant(*texts: str) -> Grant:
    return Grant(frozenset(rights(*texts)), 0)


PULL = ("repository:a:pull",)
PUSH = ("repository:a:pull", "repository:a:push")
DELETE = ("repository:a:delete",)
SCOPES = [
    pytest.param("GET", "/v2/", (), id="base"),
    pytest.param("GET", "/v2/_catalog", ("registry:catalog:*",), id="catalog"),
    pytest.param("HEAD", "/v2/_catalog", ("registry:catalog:*",), id="HEAD catalog"),
    pytest.param("GET", "/v2/a/manifests/t", PULL, id="GET manifest by tag"),
    pytest.param("HEAD", f"/v2/a/manifests/{D}", PULL, id="HEAD manifest by digest"),
    pytest.param("GET", f"/v2/a/blobs/{D}", PULL, id="GET blob"),
    pytest.param("HEAD", f"/v2/a/blobs/{D}", PULL, id="HEAD blob"),
    pytest.param("GET", "/v2/a/tags/list", PULL, id="tags"),
    pytest.param("GET", f"/v2/a/referrers/{D}", PULL, id="referrers"),
    pytest.param("PUT", "/v2/a/manifests/t", PUSH, id="PUT manifest"),
    pytest.param("POST", "/v2/a/blobs/uploads/", PUSH, id="POST upload"),
    pytest.param("PATCH", "/v2/a/blobs/uploads/i", PUSH, id="PATCH upload"),
    pytest.param("PUT", "/v2/a/blobs/uploads/i", PUSH, id="PUT upload"),
    pytest.param("GET", "/v2/a/blobs/uploads/i", PUSH, id="GET upload"),
    pytest.param("HEAD", "/v2/a/blobs/uploads/i", PUSH, id="HEAD upload"),
    pytest.param("DELETE", "/v2/a/blobs/uploads/i", PUSH, id="DELETE upload"),
    pytest.param("POST", "/v2/a/manifests/t", PUSH, id="POST manifest"),
    pytest.param("PUT", f"/v2/a/blobs/{D}", PUSH, id="PUT blob"),
    pytest.param("PATCH", f"/v2/a/referrers/{D}", PUSH, id="PATCH referrers"),
    pytest.param("DELETE", "/v2/a/manifests/t", DELETE, id="DELETE manifest by tag"),
    pytest.param("DELETE", f"/v2/a/manifests/{D}", DELETE, id="DELETE manifest by digest"),
    pytest.param("DELETE", "/v2/a/tags/reference/t", DELETE, id="DELETE GitLab tag"),
    pytest.param("DELETE", f"/v2/a/blobs/{D}", DELETE, id="DELETE blob"),
    pytest.param("DELETE", "/v2/a/tags/list", DELETE, id="DELETE tags"),
    pytest.param("POST", f"/v2/a/blobs/uploads/?mount={D}&from=b/c", (*PUSH, "repository:b/c:pull"), id="mount"),
    pytest.param("GET", "/gitlab/v1/repositories/a/", (), id="GitLab API"),
    pytest.param("OPTIONS", "/v2/a/manifests/t", (), id="another method"),
    pytest.param("GET", "/v2/a/manifests/%74", (), id="unknown"),
    pytest.param("PUT", "/v2/a/manifests/%74", (), id="malformed"),
]


@pytest.mark.parametrize(("method", "path", "needed"), SCOPES)
def test_required_access(method: str, path: str, needed: tuple[str, ...]) -> None:
    assert required_access(parse_operation(method, path)) == rights(*needed)


def test_every_kind_is_in_the_table() -> None:
    kinds = {parse_operation(str(case.values[0]), str(case.values[1])).kind for case in SCOPES}
    assert kinds == set(Kind)


@pytest.mark.parametrize(("method", "path", "needed"), SCOPES)
def test_exactly_the_needed_rights_suffice(method: str, path: str, needed: tuple[str, ...]) -> None:
    operation = parse_operation(method, path)
    assert missing_access(operation, grant(*needed)) == ()
    for lacking in needed:
        others = (right for right in needed if right != lacking)
        assert missing_access(operation, grant(*others)) == rights(lacking)


@pytest.mark.parametrize(
    "granted",
    [
        pytest.param("repository:a:push", id="another action"),
        pytest.param("repository:b:pull", id="another name"),
        pytest.param("repository:a/b:*", id="longer name"),
        pytest.param("repository:aa:*", id="longer word"),
        pytest.param("repository:*:*", id="asterisk for the name"),
        pytest.param("registry:a:*", id="another type"),
        pytest.param("registry:catalog:*", id="catalog"),
    ],
)
def test_other_rights_do_not_pull(granted: str) -> None:
    assert missing_access(parse_operation("GET", "/v2/a/manifests/t"), grant(granted)) == rights(*PULL)


def test_threat_group_asterisk_is_a_literal_name() -> None:
    operation = parse_operation("GET", "/v2/group/app/manifests/t")
    assert missing_access(operation, grant("repository:group/*:*")) == rights("repository:group/app:pull")


def test_threat_mount_from_a_name_without_pull() -> None:
    operation = parse_operation("POST", f"/v2/a/blobs/uploads/?mount={D}&from=secret")
    assert missing_access(operation, grant("repository:a:*")) == rights("repository:secret:pull")
    assert missing_access(operation, grant("repository:a:*", "repository:secret:push")) == rights(
        "repository:secret:pull"
    )


def test_asterisk_satisfies_every_action() -> None:
    for method, path, _ in (case.values for case in SCOPES):
        operation = parse_operation(str(method), str(path))
        allowed = grant("repository:a:*", "repository:b/c:*", "registry:catalog:*")
        assert missing_access(operation, allowed) == ()


@pytest.mark.parametrize(
    ("granted", "pushes"),
    [
        pytest.param("repository:a:push", True, id="push"),
        pytest.param("repository:a:*", True, id="asterisk"),
        pytest.param("repository:a:pull", False, id="pull"),
        pytest.param("repository:a:delete", False, id="delete"),
        pytest.param("repository:a/b:push", False, id="longer name"),
        pytest.param("registry:a:push", False, id="another type"),
    ],
)
def test_grants_push(granted: str, pushes: bool) -> None:
    assert grants_push(grant(granted), "a") is pushes


@given(
    st.sampled_from(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
    st.lists(
        st.sampled_from(("/v2", "/a", "/manifests", "/blobs", "/uploads", "/tags", "/list", "/" + D)), max_size=7
    ),
)
def test_an_operation_on_a_name_always_needs_a_right_on_it(method: str, parts: list[str]) -> None:
    operation = parse_operation(method, "".join(parts))
    names = {access.name for access in required_access(operation)}
    assert names == ({operation.name} if operation.name else set())
