"""From method and path to an operation.

Where a case says what distribution does, docker-registry 2.8.2 was asked.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from extproc.oci.operation import Kind, Operation
from extproc.oci.parse import parse_operation
from extproc.oci.reference import Digest, Name, Tag

D = "sha256:" + "a" * 64
D512 = "sha512:" + "b" * 128
READS = ("GET", "HEAD")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
METHODS = (*READS, *WRITES)


def summary(operation: Operation) -> tuple[Kind, str | None, str | None]:
    return operation.kind, operation.name, operation.reference


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/v2/", (Kind.API_BASE, None, None), id="base"),
        pytest.param("/v2/_catalog", (Kind.CATALOG, None, None), id="catalog"),
        pytest.param("/v2/a/manifests/latest", (Kind.MANIFEST, "a", "latest"), id="manifest by tag"),
        pytest.param(f"/v2/a/b/manifests/{D}", (Kind.MANIFEST, "a/b", D), id="manifest by digest"),
        pytest.param(f"/v2/a/manifests/{D512}", (Kind.MANIFEST, "a", D512), id="manifest by sha512"),
        pytest.param(f"/v2/a/blobs/{D}", (Kind.BLOB, "a", D), id="blob"),
        pytest.param(f"/v2/a/referrers/{D}", (Kind.REFERRERS, "a", D), id="referrers"),
        pytest.param("/v2/a/tags/list", (Kind.TAGS_LIST, "a", None), id="tags"),
        pytest.param("/v2/a/blobs/uploads/", (Kind.UPLOAD, "a", None), id="uploads"),
        pytest.param("/v2/a/blobs/uploads", (Kind.UPLOAD, "a", None), id="uploads, distribution redirects"),
        pytest.param("/v2/a/blobs/uploads/6b3c=._-", (Kind.UPLOAD, "a", None), id="upload"),
    ],
)
def test_reads(method: str, path: str, expected: tuple[Kind, str | None, str | None]) -> None:
    operation = parse_operation(method, path)
    assert (summary(operation), operation.method) == (expected, method)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("PUT", "/v2/a/manifests/t", (Kind.MANIFEST_PUT, "a", "t"), id="put by tag"),
        pytest.param("PUT", f"/v2/a/manifests/{D}", (Kind.MANIFEST_PUT, "a", D), id="put by digest"),
        pytest.param("DELETE", "/v2/a/manifests/t", (Kind.MANIFEST_DELETE, "a", "t"), id="delete by tag"),
        pytest.param("DELETE", f"/v2/a/manifests/{D}", (Kind.MANIFEST_DELETE, "a", D), id="delete by digest"),
        pytest.param("DELETE", "/v2/a/tags/reference/t", (Kind.MANIFEST_DELETE, "a", "t"), id="GitLab tag delete"),
        pytest.param("DELETE", f"/v2/a/blobs/{D}", (Kind.BLOB_DELETE, "a", D), id="delete blob"),
        pytest.param("POST", "/v2/a/blobs/uploads/", (Kind.UPLOAD, "a", None), id="upload start"),
        pytest.param("POST", "/v2/a/blobs/uploads", (Kind.UPLOAD, "a", None), id="upload start, no slash"),
        pytest.param("PATCH", "/v2/a/blobs/uploads/id", (Kind.UPLOAD, "a", None), id="upload chunk"),
        pytest.param("PUT", f"/v2/a/blobs/uploads/id?digest={D}", (Kind.UPLOAD, "a", None), id="upload end"),
        pytest.param("DELETE", "/v2/a/blobs/uploads/id", (Kind.UPLOAD, "a", None), id="upload cancel"),
        pytest.param("POST", "/v2/a/manifests/t", (Kind.WRITE, "a", None), id="POST manifest"),
        pytest.param("PATCH", f"/v2/a/manifests/{D}", (Kind.WRITE, "a", None), id="PATCH manifest"),
        pytest.param("POST", "/v2/a/manifests/x:y", (Kind.WRITE, "a", None), id="POST of no reference"),
        pytest.param("PUT", "/v2/a/manifests/-t", (Kind.WRITE, "a", None), id="put of no tag"),
        pytest.param("PUT", "/v2/a/manifests/" + "t" * 129, (Kind.WRITE, "a", None), id="put of a long tag"),
        pytest.param("PUT", f"/v2/a/blobs/{D}", (Kind.WRITE, "a", None), id="PUT blob"),
        pytest.param("DELETE", "/v2/a/blobs/x", (Kind.WRITE, "a", None), id="delete of no digest"),
        pytest.param("DELETE", "/v2/a/tags/list", (Kind.WRITE, "a", None), id="delete tags"),
        pytest.param("DELETE", "/v2/a/tags/t", (Kind.WRITE, "a", None), id="delete below tags"),
        pytest.param("DELETE", "/v2/a/tags/reference/x:y", (Kind.WRITE, "a", None), id="GitLab, no tag"),
        pytest.param("PUT", "/v2/a/tags/reference/t", (Kind.WRITE, "a", None), id="PUT tag reference"),
        pytest.param("POST", f"/v2/a/referrers/{D}", (Kind.WRITE, "a", None), id="POST referrers"),
    ],
)
def test_writes(method: str, path: str, expected: tuple[Kind, str | None, str | None]) -> None:
    operation = parse_operation(method, path)
    assert (summary(operation), operation.method) == (expected, method)


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        pytest.param("/v2/a/blobs/uploads/manifests/x", Kind.MANIFEST, "a/blobs/uploads", id="manifest over upload"),
        pytest.param("/v2/a/manifests/b/blobs/uploads/id", Kind.UPLOAD, "a/manifests/b", id="upload over manifest"),
        pytest.param(f"/v2/a/manifests/blobs/{D}", Kind.BLOB, "a/manifests", id="blob over manifest"),
        pytest.param(f"/v2/a/blobs/manifests/{D}", Kind.MANIFEST, "a/blobs", id="manifest over blob"),
        pytest.param("/v2/a/manifests/uploads", Kind.MANIFEST, "a", id="tag named uploads"),
        pytest.param("/v2/a/manifests/list", Kind.MANIFEST, "a", id="tag named list"),
        pytest.param("/v2/a/manifests/manifests/manifests", Kind.MANIFEST, "a/manifests", id="three manifests"),
        pytest.param("/v2/manifests/manifests/x", Kind.MANIFEST, "manifests", id="name manifests"),
        pytest.param(f"/v2/v2/blobs/{D}", Kind.BLOB, "v2", id="name v2"),
        pytest.param("/v2/blobs/uploads/blobs/uploads/", Kind.UPLOAD, "blobs/uploads", id="name blobs/uploads"),
        pytest.param("/v2/a/blobs/uploads/list", Kind.UPLOAD, "a", id="upload named list"),
        pytest.param("/v2/a/blobs/uploads/blobs/uploads", Kind.UPLOAD, "a/blobs/uploads", id="uploads twice"),
        pytest.param(f"/v2/a/uploads/blobs/{D}", Kind.BLOB, "a/uploads", id="name ends in uploads"),
        pytest.param("/v2/a/tags/list/tags/list", Kind.TAGS_LIST, "a/tags/list", id="tags list twice"),
        pytest.param("/v2/tags/tags/list", Kind.TAGS_LIST, "tags", id="name tags"),
        pytest.param("/v2/a/blobs/uploads/a/tags/list", Kind.TAGS_LIST, "a/blobs/uploads/a", id="tags over upload"),
        pytest.param("/v2/a/tags/reference/manifests/x", Kind.MANIFEST, "a/tags/reference", id="over tag reference"),
    ],
)
def test_a_name_may_hold_words_of_the_api(path: str, kind: Kind, name: str) -> None:
    """Each answered by distribution for the same route and name."""
    operation = parse_operation("GET", path)
    assert (operation.kind, operation.name) == (kind, name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="root"),
        pytest.param("/v2", id="base without slash"),
        pytest.param("/v3/", id="another version"),
        pytest.param("/V2/a/manifests/x", id="upper case version"),
        pytest.param("/v2/a", id="name only"),
        pytest.param("/v2/manifests/x", id="manifest without name"),
        pytest.param("/v2/blobs/uploads/", id="upload without name"),
        pytest.param("/v2/blobs/uploads", id="upload without name and slash"),
        pytest.param("/v2/blobs/uploads/id", id="upload session without name"),
        pytest.param("/v2/tags/list", id="tags without name"),
        pytest.param("/v2/a/uploads/id", id="upload outside blobs"),
        pytest.param("/v2/a/reference/t", id="reference outside tags"),
        pytest.param("/v2/tags/reference/t", id="tag reference without name"),
        pytest.param("/v2/a/xtags/reference/t", id="reference below a longer word"),
        pytest.param("/v2/a/xblobs/uploads/id", id="upload below a longer word"),
        pytest.param("/v2/a/Manifests/x", id="upper case route"),
        pytest.param("/v2/a/images/x", id="no route"),
        pytest.param("/v2/A/manifests/x", id="upper case name"),
        pytest.param("/v2/Foo.com:50/a/manifests/x", id="name with a domain, which distribution takes"),
        pytest.param("/v2/" + "a" * 256 + "/manifests/x", id="long name"),
        pytest.param("/gitlab/v1", id="GitLab without slash"),
        pytest.param("/healthz/", id="trailing slash elsewhere"),
    ],
)
def test_no_route_is_unknown(method: str, path: str) -> None:
    assert parse_operation(method, path) == Operation(Kind.UNKNOWN, method)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v2/a/manifests/-x", id="no tag"),
        pytest.param("/v2/a/manifests/sha384:" + "a" * 96, id="sha384"),
        pytest.param(f"/v2/a/manifests/{D.upper()}", id="upper case digest"),
        pytest.param("/v2/a/blobs/latest", id="blob by tag"),
        pytest.param("/v2/a/blobs/sha256:ab", id="short digest"),
        pytest.param("/v2/a/referrers/latest", id="referrers of a tag"),
        pytest.param("/v2/a/tags/latest", id="below tags"),
        pytest.param("/v2/a/tags/reference/latest", id="tag reference"),
        pytest.param(f"/v2/a/tags/{D}", id="a digest below tags"),
        pytest.param(f"/v2/a/tags/reference/{D}", id="a digest as tag reference"),
    ],
)
def test_read_of_no_reference_is_unknown(path: str) -> None:
    assert parse_operation("GET", path) == Operation(Kind.UNKNOWN, "GET")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("PUT", "/v2/a/manifests/sha384:" + "a" * 96, id="put sha384"),
        pytest.param("DELETE", "/v2/a/manifests/sha384:" + "a" * 96, id="delete sha384"),
        pytest.param("DELETE", "/v2/a/manifests/sha256:" + "A" * 64, id="upper case digest"),
        pytest.param("DELETE", "/v2/a/manifests/sha256:ab", id="short digest"),
        pytest.param("DELETE", "/v2/a/blobs/sha256:" + "A" * 64, id="blob, upper case digest"),
    ],
)
def test_write_of_an_unreadable_digest_is_malformed(method: str, path: str) -> None:
    operation = parse_operation(method, path)
    assert (summary(operation), operation.method) == ((Kind.MALFORMED, None, None), method)
    assert operation.fault == f"the reference {path.rpartition('/')[2]!r} is not a sha256 or sha512 digest"


MUTATIONS = [
    pytest.param("/%76%32/a/manifests/x", id="escaped version, which distribution obeys"),
    pytest.param("/v2/%61/manifests/x", id="escaped name"),
    pytest.param("/v2/a%2fb/manifests/x", id="escaped slash"),
    pytest.param("/v2/a/manifests%2Fx", id="escaped slash before the reference"),
    pytest.param("/v2/a/%6danifests/x", id="escaped route"),
    pytest.param("/v2/a/manifests/x%00", id="escaped NUL"),
    pytest.param("/v2/a/manifests/x%", id="broken escape"),
    pytest.param("//v2/a/manifests/x", id="two slashes first"),
    pytest.param("/v2//a/manifests/x", id="two slashes"),
    pytest.param("/v2/a//manifests/x", id="two slashes within"),
    pytest.param("/v2/a/blobs/uploads//", id="two slashes last"),
    pytest.param("/v2/./a/manifests/x", id="dot segment"),
    pytest.param("/v2/b/../a/manifests/x", id="dot dot segment"),
    pytest.param("/x/../v2/a/manifests/x", id="dot dot from outside"),
    pytest.param("/x/%2e%2e/v2/a/manifests/x", id="escaped dot dot from outside"),
    pytest.param("/v2/a/manifests/.", id="dot last"),
    pytest.param("/v2/a/manifests/..", id="dot dot last"),
    pytest.param("/v2/a/manifests/x;y", id="parameter"),
    pytest.param("/v2/a;b/manifests/x", id="parameter in the name"),
    pytest.param("/v2\\a\\manifests\\x", id="backslashes"),
    pytest.param("/v2/a/manifests/x#y", id="fragment"),
    pytest.param("/v2/a/manifests/x ", id="space"),
    pytest.param("/v2/a/manifests/x\t", id="tab"),
    pytest.param("/v2/a/manifests/x\n", id="newline"),
    pytest.param("/v2/a/manifests/x\x00", id="NUL"),
    pytest.param("/v2/a/manifests/x\x7f", id="DEL"),
    pytest.param("/v2/\xe9/manifests/x", id="not ASCII"),
    pytest.param("/v2/a/manifests/x/", id="trailing slash"),
    pytest.param("/v2/a/tags/list/", id="trailing slash on tags"),
    pytest.param("/v2/_catalog/", id="trailing slash on the catalog"),
    pytest.param("/v2/a/blobs/uploads/id/", id="trailing slash on an upload"),
    pytest.param("/v2/a/uploads/", id="trailing slash on uploads outside blobs"),
    pytest.param("/v2/a/blobs/uploads/i%64", id="escaped upload"),
    pytest.param("/v2/a/blobs/uploads/id;x", id="parameter of an upload"),
    pytest.param("http://host/v2/a/manifests/x", id="absolute form"),
    pytest.param("v2/a/manifests/x", id="no leading slash"),
    pytest.param("*", id="asterisk form"),
    pytest.param("", id="empty"),
]


@pytest.mark.parametrize("path", MUTATIONS)
def test_threat_path_confusion_read_is_never_served_locally(path: str) -> None:
    assert all(parse_operation(method, path) == Operation(Kind.UNKNOWN, method) for method in READS)


@pytest.mark.parametrize("path", MUTATIONS)
def test_threat_path_confusion_write_is_refused(path: str) -> None:
    for method in WRITES:
        operation = parse_operation(method, path)
        assert summary(operation) == (Kind.MALFORMED, None, None)
        assert operation.fault == f"the path {path!a} is not in canonical form"


def test_fault_shows_the_first_200_characters() -> None:
    def shown(length: int) -> str:
        path = "/v2/%".ljust(length, "x")
        return parse_operation("PUT", path).fault.removeprefix("the path ").removesuffix(" is not in canonical form")

    assert shown(200) == repr("/v2/%" + "x" * 195)
    assert shown(201) == shown(500) == ascii("/v2/%" + "x" * 195 + "…")


def test_fault_is_short_and_printable_whatever_was_sent() -> None:
    fault = parse_operation("PUT", "/v2/" + "\xff\n" * 30_000).fault
    assert fault.isascii()
    assert fault.isprintable()
    assert len(fault) < 1000


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v2/_Catalog", id="upper case"),
        pytest.param("/v2/_catalog/", id="trailing slash"),
        pytest.param("/v2/%5fcatalog", id="escaped, which distribution answers"),
        pytest.param("/v2//_catalog", id="two slashes"),
        pytest.param("/v2/./_catalog", id="dot segment"),
        pytest.param("/v2/a/../_catalog", id="dot dot segment"),
        pytest.param("/v2/_catalog;x", id="parameter"),
        pytest.param("/v2/_catalog/manifests/x", id="as a name"),
        pytest.param("/v2/a/_catalog", id="below a name"),
        pytest.param("/v2/_catalog%3fn=1", id="escaped query"),
        pytest.param("/v2/_catalog\x00", id="NUL"),
    ],
)
def test_threat_catalog_spellings_are_unknown(path: str) -> None:
    assert parse_operation("GET", path).kind is Kind.UNKNOWN


def test_write_to_base_or_catalog_is_unknown() -> None:
    for method in WRITES:
        for path in ("/v2/", "/v2/_catalog"):
            assert parse_operation(method, path) == Operation(Kind.UNKNOWN, method)


@pytest.mark.parametrize("method", [*METHODS, "OPTIONS"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/gitlab/v1/", id="base"),
        pytest.param("/gitlab/v1/repositories/group/app/tags/list/?n=1000", id="listing"),
        pytest.param("/gitlab/v1/repositories/group%2Fapp/", id="escaped name"),
    ],
)
def test_gitlab_api(method: str, path: str) -> None:
    assert parse_operation(method, path) == Operation(Kind.GITLAB_API, method)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/gitlab/v1/../../v2/a/manifests/x", id="dot segments"),
        pytest.param("/gitlab/v1/%2e%2e/%2E%2E/v2/a/manifests/x", id="escaped dot segments"),
        pytest.param("/gitlab/v1/..%2f../v2/a/manifests/x", id="escaped slash"),
        pytest.param("/gitlab/v1/..%5c../v2/a/manifests/x", id="escaped backslash"),
        pytest.param("/gitlab/v1//v2/a/manifests/x", id="two slashes"),
    ],
)
def test_threat_path_confusion_by_way_of_the_gitlab_api(path: str) -> None:
    assert parse_operation("GET", path).kind is Kind.UNKNOWN
    assert parse_operation("PUT", path).kind is Kind.MALFORMED


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "get", "put", "", "X-\xff"])
@pytest.mark.parametrize("path", ["/v2/", f"/v2/a/blobs/{D}", "/v2/a/blobs/uploads/id", "/v2/%61/manifests/x"])
def test_other_methods_are_unknown(method: str, path: str) -> None:
    assert parse_operation(method, path) == Operation(Kind.UNKNOWN, method)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        pytest.param(f"mount={D}&from=b/c", "b/c", id="plain"),
        pytest.param(f"from=b%2Fc&mount={D.replace(':', '%3A')}", "b/c", id="escaped"),
        pytest.param(f"mount={D}&%66rom=b", "b", id="escaped key"),
        pytest.param(f"mount={D}&from=b&from=c", "b", id="first of two"),
        pytest.param(f"ns=x&mount={D}&from=b&digest=y", "b", id="among others"),
        pytest.param("mount=x&from=b", "b", id="mount is no digest"),
        pytest.param(f"mount={D}", None, id="no source"),
        pytest.param(f"mount={D}&from=", None, id="empty source"),
        pytest.param(f"mount={D}&from=B", None, id="source is no name"),
        pytest.param(f"mount={D}&from=b%00", None, id="NUL in the source"),
        pytest.param("from=b", None, id="no mount"),
        pytest.param("mount=&from=b", None, id="empty mount"),
        pytest.param(f"mount=&mount={D}&from=b", None, id="empty mount, then one"),
        pytest.param(f"mount={D}&from=&from=b", None, id="empty source, then one"),
        pytest.param("", None, id="no query"),
    ],
)
def test_mount(query: str, source: str | None) -> None:
    expected = Operation(Kind.UPLOAD, "POST", Name("a"), mount_from=None if source is None else Name(source))
    assert parse_operation("POST", f"/v2/a/blobs/uploads/?{query}") == expected


def test_only_a_post_mounts() -> None:
    assert parse_operation("PUT", f"/v2/a/blobs/uploads/id?mount={D}&from=b").mount_from is None


@pytest.mark.parametrize(
    ("path", "moves"),
    [
        pytest.param(f"{D}?tag=x", True, id="one tag"),
        pytest.param(f"{D}?ns=y&tag=x&tag=z", True, id="several"),
        pytest.param(f"{D}?tag=", True, id="empty"),
        pytest.param(f"{D}?tag", True, id="no value"),
        pytest.param(f"{D}?%74ag=x", True, id="escaped"),
        pytest.param(f"{D}?ns=y;tag=x", True, id="semicolon, as old Go reads it"),
        pytest.param(f"{D}?ns=tag", False, id="as a value"),
        pytest.param(f"{D}?Tag=x", False, id="upper case"),
        pytest.param(f"{D}?tags=x", False, id="another key"),
        pytest.param(D, False, id="no query"),
        pytest.param("t?tag=x", False, id="put by tag"),
    ],
)
def test_put_may_move_further_tags(path: str, moves: bool) -> None:
    operation = parse_operation("PUT", f"/v2/a/manifests/{path}")
    assert operation.kind is Kind.MANIFEST_PUT
    assert operation.moves_other_tags is moves


def test_delete_moves_no_further_tags() -> None:
    assert not parse_operation("DELETE", f"/v2/a/manifests/{D}?tag=x").moves_other_tags


WORDS = ("a", "b-c", "v2", "manifests", "blobs", "uploads", "tags", "list", "reference", "referrers", "latest", D)
# distribution's routes (registry/api/v2/descriptors.go) as one would write them with whole-path patterns.
COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
NAME = rf"(?P<name>{COMPONENT}(?:/{COMPONENT})*)"
ROUTES = {
    Kind.MANIFEST: rf"/v2/{NAME}/manifests/(?P<reference>[\w][\w.-]{{0,127}}|sha256:[a-f0-9]{{64}})",
    Kind.TAGS_LIST: rf"/v2/{NAME}/tags/list",
    Kind.BLOB: rf"/v2/{NAME}/blobs/(?P<reference>sha256:[a-f0-9]{{64}})",
    Kind.UPLOAD: rf"/v2/{NAME}/blobs/uploads(?:/[a-zA-Z0-9_.=:-]*)?",
    Kind.REFERRERS: rf"/v2/{NAME}/referrers/(?P<reference>sha256:[a-f0-9]{{64}})",
}


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map("/".join), st.sampled_from(("", "/")))
def test_same_route_and_name_as_a_router_of_patterns(rest: str, slash: str) -> None:
    path = f"/v2/{rest}{slash}"
    matches = {kind: m for kind, route in ROUTES.items() if (m := re.fullmatch(route, path, re.ASCII))}
    assume(len(path) < 255)
    operation = parse_operation("GET", path)
    if not matches:
        assert summary(operation) == (Kind.UNKNOWN, None, None)
    else:
        [(kind, match)] = matches.items()
        assert summary(operation) == (kind, match["name"], match.groupdict().get("reference"))


@given(st.sampled_from((*METHODS, "OPTIONS")), st.text(st.characters(max_codepoint=255)))
@example("PUT", "/v2/a/manifests/" + "%" * 60_000)
@example("POST", "/v2/a/blobs/uploads/?" + "&" * 60_000)
@example("GET", "/v2/" + "a-" * 30_000)
@example("GET", "/gitlab/v1/%")
def test_never_raises_and_what_it_returns_is_whole(method: str, path: str) -> None:
    operation = parse_operation(method, path)
    assert operation.method == method
    assert (operation.kind is Kind.MALFORMED) == bool(operation.fault)


@given(
    st.sampled_from(METHODS),
    st.lists(st.sampled_from(("/v2", "/a", "/manifests", "/blobs", "/uploads", "/", "/..", "%2f", "x")), max_size=9),
    st.text(st.characters(max_codepoint=255)),
)
def test_the_query_changes_neither_kind_nor_name_nor_reference(method: str, parts: list[str], query: str) -> None:
    path = "".join(parts)
    assert summary(parse_operation(method, f"{path}?{query}")) == summary(parse_operation(method, path))


@given(st.sampled_from(READS), st.text(st.sampled_from("/v2amnifestblo.%;:\\ #\xe9"), max_size=40))
def test_what_is_served_locally_is_spelled_in_one_way(method: str, rest: str) -> None:
    path = f"/v2/{rest}"
    operation = parse_operation(method, path)
    if operation.kind is Kind.MANIFEST:
        assert path == f"/v2/{operation.name}/manifests/{operation.reference}"
        assert isinstance(operation.reference, Tag | Digest)
    elif operation.kind is Kind.BLOB:
        assert path == f"/v2/{operation.name}/blobs/{operation.reference}"
