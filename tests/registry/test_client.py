"""What the client makes of answers, right and wrong ones. test_real.py asks real registries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from extproc.oci.media_type import LEASED_MEDIA_TYPES
from extproc.oci.reference import Digest, Name, Tag
from extproc.registry import client as subject
from extproc.registry.account import Account
from extproc.registry.client import RegistryClient, Resolved, TagDetail
from extproc.registry.error import BulkUnsupported, NameUnknown, RegistryError
from tests.registry.server import Server, open_client, scripted
from tests.support.gitlab_registry import GitLabRegistry
from tests.support.registry_client import MANIFEST, digest_of, manifest_of

APP = Name("group/app")
ONE = Tag("1")
CONTENT = manifest_of(b"{}", "x", (b"layer",))
DIGEST = digest_of(CONTENT)
INDEX = "application/vnd.oci.image.index.v1+json"


def head(digest: str = DIGEST, content_type: str = MANIFEST, status: int = 200) -> web.Response:
    return web.Response(status=status, headers={"Docker-Content-Digest": digest, "Content-Type": content_type})


def error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code}]}, status=status)


async def test_resolve_sends_all_four_types_and_takes_what_the_registry_tells() -> None:
    async with Server(scripted(head(content_type=f"{INDEX.upper()}; x=y"))) as server:
        async with open_client(server.url) as client:
            assert await client.resolve(APP, ONE) == Resolved(DIGEST, INDEX)
            assert await client.resolve(APP, DIGEST) == Resolved(DIGEST, INDEX)
        assert server.paths == ["/v2/group/app/manifests/1", f"/v2/group/app/manifests/{DIGEST}"]
        assert {request.method for request in server.requests} == {"HEAD"}
        assert set(server.requests[0].headers["Accept"].split(", ")) == LEASED_MEDIA_TYPES


async def test_404_is_an_answer() -> None:
    async with Server(scripted(error(404, "MANIFEST_UNKNOWN"))) as server, open_client(server.url) as client:
        assert await client.resolve(APP, ONE) is None
        assert await client.manifest(APP, DIGEST) is None
        assert await client.has_blob(APP, DIGEST) is False


@pytest.mark.parametrize(
    ("answer", "reference", "words"),
    [
        pytest.param(head(digest=""), ONE, "without a usable Docker-Content-Digest", id="no digest"),
        pytest.param(head(digest="sha256:x"), ONE, "without a usable Docker-Content-Digest", id="no real digest"),
        pytest.param(head(digest=digest_of(b"x")), DIGEST, "another digest", id="another digest than asked for"),
        pytest.param(head(status=307), ONE, "answered 307", id="a redirect"),
        pytest.param(head(status=403), ONE, "answered 403", id="forbidden"),
        pytest.param(head(status=500), ONE, "answered 500", id="broken"),
        pytest.param(head(status=206), ONE, "answered 206", id="a part"),
    ],
)
async def test_what_is_no_evidence_is_an_error(answer: web.Response, reference: Tag | Digest, words: str) -> None:
    async with Server(scripted(answer)) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match=words):
            await client.resolve(APP, reference)


async def test_a_manifests_content_is_verified() -> None:
    good = web.Response(body=CONTENT, headers={"Content-Type": f"{MANIFEST}; charset=utf-8"})
    async with Server(scripted(good)) as server, open_client(server.url) as client:
        found = await client.manifest(APP, DIGEST)
        assert found == subject.Manifest(DIGEST, MANIFEST, (), (digest_of(b"{}"), digest_of(b"layer")))
        with pytest.raises(RegistryError, match="the manifest cannot be used: its content has another digest"):
            await client.manifest(APP, digest_of(b"other"))
    async with Server(scripted(error(502, "UNKNOWN"))) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match=r"answered 502 \(UNKNOWN\)") as caught:
            await client.manifest(APP, DIGEST)
        assert caught.value.status == 502


async def test_a_manifest_that_is_too_large_is_an_error() -> None:
    async with (
        Server(scripted(web.Response(body=b" " * (4 * 1024 * 1024 + 1)))) as server,
        open_client(server.url) as client,
    ):
        with pytest.raises(RegistryError, match="larger than 4194304 bytes"):
            await client.manifest(APP, DIGEST)


@pytest.mark.parametrize(("status", "there"), [(200, True), (307, True), (302, True), (404, False)])
async def test_a_blob_is_there_also_behind_a_redirect(status: int, there: bool) -> None:
    answer = web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})
    async with Server(scripted(answer)) as server, open_client(server.url) as client:
        assert await client.has_blob(APP, DIGEST) is there
        assert [(request.method, request.raw_path) for request in server.requests] == [
            ("HEAD", f"/v2/group/app/blobs/{DIGEST}")
        ]


@pytest.mark.parametrize("status", [301, 403, 405, 500])
async def test_a_blob_of_which_nothing_is_told(status: int) -> None:
    async with Server(scripted(web.Response(status=status))) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match=f"answered {status}"):
            await client.has_blob(APP, DIGEST)


Listing = Callable[[RegistryClient], AsyncIterator[Any]]


def tags(client: RegistryClient) -> AsyncIterator[Any]:
    return client.tags(APP)


def tag_details(client: RegistryClient) -> AsyncIterator[Any]:
    return client.tag_details(APP)


def catalog(client: RegistryClient) -> AsyncIterator[Any]:
    return client.catalog()


def below(client: RegistryClient) -> AsyncIterator[Any]:
    return client.repositories_below("group/")


@pytest.mark.parametrize(
    ("listing", "document", "expected"),
    [
        pytest.param(tags, {"name": APP, "tags": ["1", "-bad", 7, None, "v2"]}, (ONE, Tag("v2")), id="tags"),
        pytest.param(tags, {"name": APP, "tags": None}, (), id="null tags"),
        pytest.param(tags, {"name": APP, "tags": []}, (), id="no tags"),
        pytest.param(catalog, {"repositories": ["a", "A", "b/c"]}, (Name("a"), Name("b/c")), id="catalog"),
        pytest.param(
            below, [{"path": "group/app"}, {"path": "Group"}, {"name": "x"}], (APP,), id="repositories below a path"
        ),
        pytest.param(
            tag_details,
            [
                {"name": "1", "digest": DIGEST, "media_type": f"{INDEX}; x=y", "size_bytes": 1},
                {"name": "2", "digest": DIGEST},
                {"name": "-bad", "digest": DIGEST},
                {"name": "3", "digest": "md5:x"},
                {"name": "4"},
                {"digest": DIGEST},
            ],
            (TagDetail(ONE, DIGEST, INDEX), TagDetail(Tag("2"), DIGEST, "")),
            id="tags with their digests",
        ),
    ],
)
async def test_listings_leave_out_what_no_read_could_name(listing: Listing, document: Any, expected: Any) -> None:
    async with Server(scripted(web.json_response(document))) as server, open_client(server.url) as client:
        assert [page async for page in listing(client)] == [expected]


@pytest.mark.parametrize(
    ("listing", "body"),
    [
        (tags, "{"),
        (tags, "[]"),
        (tags, '{"tags":{}}'),
        (catalog, "null"),
        (catalog, '{"repositories":"a"}'),
        (tag_details, "["),
        (tag_details, "[7]"),
        (below, "{}"),
        (below, '["a"]'),
        (tags, "[" * 50_000),
    ],
)
async def test_a_listing_that_cannot_be_read_is_an_error(listing: Listing, body: str) -> None:
    async with Server(scripted(web.Response(text=body))) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match="its answer"):
            [page async for page in listing(client)]


@pytest.mark.parametrize("body", ["", "404 page not found", '{"errors":[{"code":"UNSUPPORTED"}]}'])
async def test_another_404_says_nothing_of_the_name(body: str) -> None:
    answer = web.Response(status=404, text=body)
    async with Server(scripted(answer)) as server, open_client(server.url) as client:
        for listing in (tags, tag_details):
            with pytest.raises(RegistryError, match="answered 404") as caught:
                [page async for page in listing(client)]
            assert not isinstance(caught.value, NameUnknown)


async def test_an_unknown_name_is_told_apart() -> None:
    async with Server(scripted(error(404, "NAME_UNKNOWN"))) as server, open_client(server.url) as client:
        for listing in (tags, tag_details, below):
            with pytest.raises(NameUnknown, match="NAME_UNKNOWN"):
                [page async for page in listing(client)]
        with pytest.raises(RegistryError, match="answered 404") as caught:
            [page async for page in client.catalog()]
        assert not isinstance(caught.value, NameUnknown)


@pytest.mark.parametrize(
    "bulk",
    [
        pytest.param(web.Response(status=404, text="404 page not found"), id="no such route"),
        pytest.param(web.Response(text="<html>"), id="a page for people"),
        pytest.param(web.json_response({}), id="something else"),
    ],
)
async def test_a_registry_without_bulk_listing_is_asked_for_it_once(bulk: web.Response) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/gitlab/"):
            return web.Response(status=bulk.status, body=bulk.body)
        return web.json_response({"tags": ["1"]})

    async with Server(answer) as server, open_client(server.url) as client:
        for _ in range(2):
            with pytest.raises(BulkUnsupported, match="the primary registry has no bulk listing"):
                [page async for page in client.tag_details(APP)]
        assert sum(path.startswith("/gitlab/") for path in server.paths) == 1


async def test_bulk_listing_is_no_more_certain_than_the_name() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=404 if request.path.startswith("/gitlab/") else 500)

    async with Server(answer) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match="answered 500") as caught:
            [page async for page in client.tag_details(APP)]
        assert not isinstance(caught.value, BulkUnsupported)


async def test_a_later_page_that_is_no_list_is_an_error_not_a_missing_feature() -> None:
    first = web.json_response([{"name": "1", "digest": DIGEST}], headers={"Link": '<?last=1>; rel="next"'})
    async with Server(scripted(first, web.Response(text="<html>"))) as server, open_client(server.url) as client:
        with pytest.raises(RegistryError, match="not JSON") as caught:
            [page async for page in client.tag_details(APP)]
        assert not isinstance(caught.value, BulkUnsupported)


@pytest.mark.parametrize("path", ["", "Group", "a//b", "../x", "a?b"])
async def test_a_path_that_is_none_is_refused_before_it_is_asked(path: str) -> None:
    async with open_client("http://127.0.0.1:1") as client:
        with pytest.raises(RegistryError, match="not the path of a group"):
            [page async for page in client.repositories_below(path)]


async def test_gitlabs_listings_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_PAGE", 2)
    async with GitLabRegistry() as registry:
        for number in range(5):
            registry.push("group/app", f"v{number}", f"{number % 2}")
        registry.push("group/app/sub", "x", "x")
        registry.push("group/other", "x", "x")
        registry.push("groups", "x", "x")
        registry.content.add_blob("group/untagged", b"x")
        async with open_client(registry.url) as client:
            details = [page async for page in client.tag_details(APP)]
            assert [[detail.tag for detail in page] for page in details] == [["v0", "v1"], ["v2", "v3"], ["v4"]]
            for detail in (detail for page in details for detail in page):
                assert await client.resolve(APP, detail.tag) == Resolved(detail.digest, detail.media_type)
            assert [page async for page in client.tags(APP)] == [("v0", "v1"), ("v2", "v3"), ("v4",)]
            below = [page async for page in client.repositories_below("group")]
            assert below == [("group/app", "group/app/sub"), ("group/other",)]
            names = [name async for page in client.catalog() for name in page]
            assert names == ["group/app", "group/app/sub", "group/other", "group/untagged", "groups"]
            assert [page async for page in client.tag_details(Name("group/untagged"))] == [()]
            with pytest.raises(NameUnknown):
                [page async for page in client.tag_details(Name("group/nothing"))]
            assert [page async for page in client.repositories_below("group/nothing")] == [()]
            with pytest.raises(NameUnknown):
                [page async for page in client.repositories_below("nothing")]


async def test_gitlab_without_its_database() -> None:
    async with GitLabRegistry(database=False) as registry, open_client(registry.url) as client:
        registry.push(APP, "1", "x")
        with pytest.raises(BulkUnsupported):
            [page async for page in client.tag_details(APP)]
        with pytest.raises(NameUnknown):
            # Known to have no bulk listing only once a name was found without one.
            async with open_client(registry.url) as other:
                [page async for page in other.tag_details(Name("group/nothing"))]
        with pytest.raises(BulkUnsupported):
            [page async for page in client.repositories_below("group")]
        assert [page async for page in client.tags(APP)] == [("1",)]


async def test_gitlab_asks_for_the_scopes_that_each_question_needs() -> None:
    """The issuer grants what it is asked for, except `<path>/*`, as GitLab's does (docs/gitlab.md)."""

    async def issue(request: web.BaseRequest) -> web.Response:
        granted = [scope.split(":") for scope in request.query.getall("scope") if "/*:" not in scope]
        return web.json_response({"token": json.dumps(granted, separators=(",", ":"))})

    def verify(header: str, needs: Any) -> bool:
        granted = json.loads(header.removeprefix("Bearer ")) if header else []
        return bool(header) and all(list(need) in granted for need in needs)

    async with (
        Server(issue) as issuer,
        GitLabRegistry(
            verify=verify, challenge=f'Bearer realm="{issuer.url}",service="container_registry"'
        ) as registry,
        open_client(registry.url, realm=issuer.url) as client,
    ):
        digest = registry.push(APP, "1", "x")
        assert await client.resolve(APP, ONE) == Resolved(digest, MANIFEST)
        assert await client.has_blob(APP, digest_of(b"{}"))
        assert [len(page) async for page in client.tag_details(APP)] == [1]
        assert [page async for page in client.tags(APP)] == [("1",)]
        assert [page async for page in client.catalog()] == [("group/app",)]
        with pytest.raises(RegistryError, match=r"answered 401 \(UNAUTHORIZED\); it wants a token for group/\*"):
            [page async for page in client.repositories_below("group")]
        assert issuer.requests[-1].query.getall("scope") == ["repository:group:pull", "repository:group/*:pull"]


@pytest.mark.parametrize("listing", [catalog, below])
@pytest.mark.parametrize(
    ("realm_status", "remedy"),
    [
        pytest.param(
            401, r"refused the service account 'geo': check service_account\.\S+ and its \S+$", id="account"
        ),
        pytest.param(200, r"answered 401 \(UNAUTHORIZED\); (set service_account|it wants a token)", id="its reach"),
    ],
)
async def test_the_remedy_fits_what_was_refused(
    tmp_path: Path, listing: Listing, realm_status: int, remedy: str
) -> None:
    (tmp_path / "password").write_text("wrong")
    issued = web.json_response({"token": "t"}, status=realm_status)
    async with Server(scripted(issued)) as issuer:
        challenge = {"WWW-Authenticate": f'Bearer realm="{issuer.url}"'}
        refusal = web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401, headers=challenge)
        async with (
            Server(scripted(refusal)) as server,
            open_client(server.url, realm=issuer.url, account=Account("geo", tmp_path / "password")) as client,
        ):
            with pytest.raises(RegistryError, match=remedy):
                [page async for page in listing(client)]


async def test_without_an_account_the_remedy_is_one() -> None:
    async with Server(scripted(web.Response(status=401))) as issuer:
        challenge = {"WWW-Authenticate": f'Bearer realm="{issuer.url}"'}
        async with (
            Server(scripted(web.Response(status=401, headers=challenge))) as server,
            open_client(server.url, realm=issuer.url) as client,
        ):
            with pytest.raises(
                RegistryError, match=r"answered 401 for registry:catalog:\*; set service_account to one"
            ):
                [page async for page in client.catalog()]
