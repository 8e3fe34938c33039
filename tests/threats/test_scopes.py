"""Method × operation × granted type, name and action: what is let in, by a rule of the specification's own words.

distribution's token specification ("access") and its `appendAccessRecords`; OCI distribution spec, "Endpoints".
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

import pytest

from extproc.auth.grant import Access, Grant, Rejection
from extproc.oci.parse import parse_operation
from extproc.routing.decision import Forward, Lookup, Refuse, admit
from extproc.routing.reason import Reason
from tests.support.registry_client import digest_of

NAME: Final = "group/app"
SOURCE: Final = "group/source"
DIGEST: Final = digest_of(b"x")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PATHS: Final = {
    "manifest by tag": f"/v2/{NAME}/manifests/latest",
    "manifest by digest": f"/v2/{NAME}/manifests/{DIGEST}",
    "blob": f"/v2/{NAME}/blobs/{DIGEST}",
    "tags": f"/v2/{NAME}/tags/list",
    "referrers": f"/v2/{NAME}/referrers/{DIGEST}",
    "upload": f"/v2/{NAME}/blobs/uploads/",
    "session": f"/v2/{NAME}/blobs/uploads/1234",
}
TYPES: Final = ("repository", "registry", "Repository", "repository(plugin)", "")
NAMES: Final = (
    *(NAME, "group", "app", "group/ap", "group/appx", "group/app/x", "x/group/app", "roup/app", "/group/app"),
    *("group/app/", "group/app ", "Group/app", "group/*", "*", "**", ".*", "group%2fapp", "group//app", "", SOURCE),
)
ACTIONS: Final = ("pull", "push", "delete", "*", "pull,push", "Pull", "pul", "pull ", "")


def needed(method: str, path: str) -> set[str]:
    """The actions that the operation needs on its name."""
    if "/blobs/uploads/" in path:
        return {"pull", "push"}
    return {"GET": {"pull"}, "HEAD": {"pull"}, "DELETE": {"delete"}}.get(method, {"pull", "push"})


def let_in(method: str, path: str, *rights: tuple[str, str, str]) -> bool:
    decision = admit(parse_operation(method, path), Grant(frozenset(Access(*right) for right in rights), 2e9))
    if isinstance(decision, Refuse):
        assert (decision.status, decision.reason) == (401, Reason.SCOPE_INSUFFICIENT)
        return False
    assert isinstance(decision, Forward | Lookup)
    return True


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("method", METHODS)
def test_threat_scope_matrix(method: str, path: str) -> None:
    """One right at a time and every pair of actions: only the name itself counts, and only its exact words."""
    outcomes: Counter[bool] = Counter()
    for type_, name, action in itertools.product(TYPES, NAMES, ACTIONS):
        suffices = (type_, name) == ("repository", NAME) and (action == "*" or needed(method, path) == {action})
        assert let_in(method, path, (type_, name, action)) is suffices, (type_, name, action)
        outcomes[suffices] += 1
    for first, second in itertools.product(ACTIONS, ACTIONS):
        suffices = "*" in (first, second) or needed(method, path) <= {first, second}
        assert let_in(method, path, ("repository", NAME, first), ("repository", NAME, second)) is suffices
    assert min(outcomes[True], outcomes[False]) >= 1


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("method", METHODS)
def test_threat_no_grant_is_no_way_in(method: str, path: str) -> None:
    operation = parse_operation(method, path)
    for rejection in (Rejection.MISSING, Rejection.EXPIRED, Rejection.INVALID):
        refused = admit(operation, rejection)
        assert isinstance(refused, Refuse)
        assert (refused.status, {right.name for right in refused.wanted}) == (401, {NAME})


@pytest.mark.parametrize("source", [SOURCE, "group/sourcex", "group/sourc", "source", NAME])
@pytest.mark.parametrize(
    "spelled", ["mount={digest}&from={source}", "from={source}&mount={digest}", "from={source}&from=x&mount={digest}"]
)
def test_threat_mount_needs_pull_on_its_source(source: str, spelled: str) -> None:
    path = f"/v2/{NAME}/blobs/uploads/?{spelled.format(digest=DIGEST, source=source)}"
    own = [("repository", NAME, "pull"), ("repository", NAME, "push")]
    for name, action in itertools.product(NAMES, ("pull", "push", "delete", "*")):
        suffices = source == NAME or (name == source and action in ("pull", "*"))
        assert let_in("POST", path, *own, ("repository", name, action)) is suffices, (name, action)


def test_threat_the_catalog_needs_everything_on_itself() -> None:
    for type_, name, action in itertools.product((*TYPES, "registry"), (*NAMES, "catalog", "Catalog"), ACTIONS):
        suffices = (type_, name, action) == ("registry", "catalog", "*")
        assert let_in("GET", "/v2/_catalog", (type_, name, action)) is suffices, (type_, name, action)
