"""The stand-in behaves as GitLab's documentation says (tests/support/gitlab_registry.py names the pages)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.registry.server import Server
from tests.support.gitlab_notifier import CONTENT_TYPE
from tests.support.gitlab_registry import GitLabRegistry
from tests.support.registry_client import MANIFEST, digest_of, manifest_of

INDEX = "application/vnd.oci.image.index.v1+json"


class Endpoint:
    """Takes notifications; refuses while told to."""

    def __init__(self) -> None:
        self.refusals = 0
        self.tries = 0
        self.events: list[dict[str, Any]] = []
        self.heads: set[tuple[str, str]] = set()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.tries += 1
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        self.heads.add((request.headers["Authorization"], request.headers["Content-Type"]))
        self.events += json.loads(await request.read())["events"]
        return web.Response()

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Action, and what the target says beyond sizes and the URL."""
        kept = ("repository", "tag", "digest", "rename")
        return [
            (event["action"], {key: event["target"][key] for key in kept if key in event["target"]})
            for event in self.events
        ]


@asynccontextmanager
async def telling(**options: Any) -> AsyncIterator[tuple[GitLabRegistry, Endpoint]]:
    endpoint = Endpoint()
    async with Server(endpoint) as server, GitLabRegistry(notify=f"{server.url}/events", **options) as registry:
        yield registry, endpoint


async def ask(registry: GitLabRegistry, method: str, path: str, **options: Any) -> tuple[int, Any, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, registry.url + path, allow_redirects=False, **options) as response,
    ):
        body = await response.read()
        return response.status, json.loads(body) if body[:1] in (b"{", b"[") else body, dict(response.headers)


async def test_a_push_is_told_with_its_references() -> None:
    async with telling(authorization="Bearer x") as (registry, endpoint):
        digest = registry.push("group/app", "1", "x", b"layer")
        await registry.told()
        assert endpoint.told == [("push", {"repository": "group/app", "tag": "1", "digest": digest})]
        assert endpoint.heads == {("Bearer x", CONTENT_TYPE)}
        references = [reference["digest"] for reference in endpoint.events[0]["target"]["references"]]
        assert references == [digest_of(b"{}"), digest_of(b"layer")]


@pytest.mark.parametrize("path", ["manifests/1", "tags/reference/1"])
async def test_a_tag_delete_is_told_by_its_tag_alone(path: str) -> None:
    async with telling() as (registry, endpoint):
        registry.push("group/app", "1", "x")
        digest = registry.push("group/app", "2", "x")
        status, _, _ = await ask(registry, "DELETE", f"/v2/group/app/{path}")
        assert status == 202
        assert (await ask(registry, "GET", "/v2/group/app/manifests/1"))[0] == 404
        assert (await ask(registry, "HEAD", "/v2/group/app/manifests/2"))[2]["Docker-Content-Digest"] == digest
        await registry.told()
        assert endpoint.told[2:] == [("delete", {"repository": "group/app", "tag": "1"})]
        assert (await ask(registry, "DELETE", f"/v2/group/app/{path}"))[0] == 404


@pytest.mark.parametrize(
    ("database", "tags"),
    [pytest.param(True, (), id="with the database"), pytest.param(False, ("1", "2"), id="without")],
)
async def test_a_digest_takes_its_tags_along_told_or_not(database: bool, tags: Sequence[str]) -> None:
    async with telling(database=database) as (registry, endpoint):
        for tag in ("1", "2"):
            digest = registry.push("group/app", tag, "x")
        assert (await ask(registry, "DELETE", f"/v2/group/app/manifests/{digest}"))[0] == 202
        await registry.told()
        assert endpoint.told[2:] == [
            *(("delete", {"repository": "group/app", "tag": tag}) for tag in tags),
            ("delete", {"repository": "group/app", "digest": digest}),
        ]
        assert (await ask(registry, "GET", "/v2/group/app/tags/list"))[1]["tags"] is None


async def test_an_index_keeps_its_children() -> None:
    async with GitLabRegistry() as registry:
        child = registry.push("group/app", "1", "x")
        index = json.dumps({"manifests": [{"mediaType": MANIFEST, "digest": child}]}).encode()
        whole = registry.put_manifest("group/app", "index", index, INDEX)
        assert (await ask(registry, "DELETE", f"/v2/group/app/manifests/{child}"))[0] == 409
        registry.delete("group/app", whole)
        assert (await ask(registry, "DELETE", f"/v2/group/app/manifests/{child}"))[0] == 202


@pytest.mark.parametrize(
    ("body", "event", "names"),
    [
        pytest.param(
            {"name": "new"},
            {"type": "name", "from": "group/app", "to": "group/new"},
            ["group/apple", "group/new", "group/new/sub", "group/sub/x"],
            id="by name",
        ),
        pytest.param(
            {"namespace": "group/sub"},
            {"type": "namespace", "from": "group/app", "to": "group/sub/app"},
            ["group/apple", "group/sub/app", "group/sub/app/sub", "group/sub/x"],
            id="by namespace",
        ),
    ],
)
async def test_a_rename_moves_all_below_and_is_one_event(
    body: dict[str, str], event: dict[str, str], names: list[str]
) -> None:
    async with telling() as (registry, endpoint):
        for name in ("group/app", "group/app/sub", "group/apple", "group/sub/x"):
            registry.push(name, "1", "x")
        path = "/gitlab/v1/repositories/group/app/"
        assert (await ask(registry, "PATCH", f"{path}?dry_run=true", json=body))[0] == 202
        assert (await ask(registry, "PATCH", path, json=body))[0] == 204
        assert (await ask(registry, "GET", "/v2/_catalog"))[1]["repositories"] == names
        await registry.told()
        assert endpoint.told[4:] == [("rename", {"repository": "group/app", "rename": event})]
        assert (await ask(registry, "PATCH", path, json=body))[0] == 404, "it is no longer there"


async def test_renames_that_are_refused() -> None:
    async with telling() as (registry, endpoint):
        registry.push("group/app", "1", "x")
        registry.push("group/other", "1", "x")
        path = "/gitlab/v1/repositories/group/app/"
        assert (await ask(registry, "PATCH", path, json={"name": "other"}))[0] == 409
        assert (await ask(registry, "PATCH", path, json={"name": "a", "namespace": "b"}))[0] == 400
        assert (await ask(registry, "PATCH", path.rstrip("/"), json={"name": "new"}))[0] == 301
        registry.database = False
        assert (await ask(registry, "PATCH", path, json={"name": "new"}))[0] == 404
        await registry.told()
        assert len(endpoint.told) == 2


@pytest.mark.parametrize(("database", "status"), [(True, 200), (False, 404)])
async def test_the_metadata_database_is_on_or_off(database: bool, status: int) -> None:
    async with GitLabRegistry(database=database) as registry:
        registry.push("group/app", "1", "x")
        assert (await ask(registry, "GET", "/gitlab/v1/"))[0] == status
        assert (await ask(registry, "GET", "/gitlab/v1/repositories/group/app/tags/list/"))[0] == status
        assert (await ask(registry, "GET", "/gitlab/v1/repository-paths/group/repositories/list/"))[0] == status
        headers = (await ask(registry, "GET", "/v2/"))[2]
        assert headers["Gitlab-Container-Registry-Database-Enabled"] == str(database).lower()


async def test_bulk_listing_in_pages() -> None:
    async with GitLabRegistry() as registry:
        digests = {tag: registry.push("app", tag, tag) for tag in "abcdef"}
        path = "/gitlab/v1/repositories/app/tags/list/"
        status, body, headers = await ask(registry, "GET", f"{path}?n=2")
        assert status == 200
        assert [(tag["name"], tag["digest"], tag["media_type"]) for tag in body] == [
            ("a", digests["a"], MANIFEST),
            ("b", digests["b"], MANIFEST),
        ]
        assert headers["Link"] == f'<{registry.url}{path}?n=2&last=b>; rel="next"'
        status, body, headers = await ask(registry, "GET", f"{path}?n=2&last=b")
        assert headers["Link"] == (
            f'<{registry.url}{path}?n=2&before=c>; rel="previous", <{registry.url}{path}?n=2&last=d>; rel="next"'
        )
        _, body, headers = await ask(registry, "GET", f"{path}?n=2&last=d")
        assert [tag["name"] for tag in body] == ["e", "f"]
        assert "next" not in headers.get("Link", "")
        for count in ("0", "1001", "x"):
            assert (await ask(registry, "GET", f"{path}?n={count}"))[0] == 400
        assert (await ask(registry, "GET", path.rstrip("/")))[2]["Location"] == path
        assert (await ask(registry, "GET", path.replace("app", "none")))[1]["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_repositories_below_a_path_are_those_with_tags() -> None:
    async with GitLabRegistry() as registry:
        for name in ("a/b", "a/b/c", "a/bc", "a/d"):
            registry.push(name, "1", "x")
        registry.content.add_blob("a/b/untagged", b"x")
        _, body, headers = await ask(registry, "GET", "/gitlab/v1/repository-paths/a/b/repositories/list/?n=1")
        assert [entry["path"] for entry in body] == ["a/b"]
        assert "last=a%2Fb>" in headers["Link"]
        _, body, _ = await ask(registry, "GET", "/gitlab/v1/repository-paths/a/b/repositories/list/?last=a%2Fb")
        assert [entry["path"] for entry in body] == ["a/b/c"]


async def test_referrers_are_in_the_listing_only() -> None:
    async with GitLabRegistry() as registry:
        digest = registry.push("app", "1", "x")
        document = {
            **json.loads(manifest_of(b"{}", "signature")),
            "artifactType": "x/y",
            "subject": {"mediaType": MANIFEST, "digest": digest},
        }
        signature = registry.put_manifest("app", "signature", json.dumps(document).encode())
        assert (await ask(registry, "GET", f"/v2/app/referrers/{digest}"))[0] == 404
        _, body, _ = await ask(registry, "GET", "/gitlab/v1/repositories/app/tags/list/?referrers=true")
        assert body[0]["referrers"] == [{"artifactType": "x/y", "digest": signature}]
        document["subject"] = {"mediaType": MANIFEST, "digest": digest_of(b"nothing")}
        path = "/v2/app/manifests/other"
        headers = {"Content-Type": MANIFEST}
        assert (await ask(registry, "PUT", path, data=json.dumps(document).encode(), headers=headers))[0] == 400


async def test_a_push_over_http() -> None:
    async with telling() as (registry, endpoint):
        content = manifest_of(b"{}", "x")
        path, headers = "/v2/app/manifests/1", {"Content-Type": MANIFEST}
        assert (await ask(registry, "PUT", path, data=content, headers=headers))[0] == 400, "its config is not there"
        _, _, started = await ask(registry, "POST", "/v2/app/blobs/uploads/")
        upload = started["Location"].removeprefix(registry.url)
        assert (await ask(registry, "PUT", f"{upload}?digest={digest_of(b'x')}", data=b"{}"))[0] == 400
        assert (await ask(registry, "PUT", f"{upload}?digest={digest_of(b'{}')}", data=b"{}"))[0] == 201
        assert (await ask(registry, "PUT", path, data=content, headers=headers))[0] == 201
        assert (await ask(registry, "PUT", f"/v2/app/manifests/{digest_of(b'x')}", data=content, headers=headers))[
            0
        ] == 400
        _, _, got = await ask(registry, "GET", path)
        assert (got["Docker-Content-Digest"], got["Content-Type"]) == (digest_of(content), MANIFEST)
        await registry.told()
        assert [action for action, _ in endpoint.told] == ["push", "push"]
        assert (await ask(registry, "DELETE", f"/v2/app/blobs/{digest_of(b'{}')}"))[0] == 202
        assert (await ask(registry, "HEAD", f"/v2/app/blobs/{digest_of(b'{}')}"))[0] == 404


async def test_an_event_is_repeated_ten_times_then_dropped_and_the_next_one_is_sent() -> None:
    async with telling(backoff=0.0) as (registry, endpoint):
        endpoint.refusals = 10
        registry.push("app", "1", "x")
        await registry.told()
        assert [event["target"]["tag"] for event in endpoint.events] == ["1"]
        endpoint.refusals = 11
        registry.push("app", "2", "x")
        registry.push("app", "3", "x")
        await registry.told()
        assert [event["target"]["tag"] for event in endpoint.events] == ["1", "3"]
        assert [event["target"]["tag"] for event in registry.notifier.dropped] == ["2"]


async def test_events_can_be_lost() -> None:
    async with telling() as (registry, endpoint):
        registry.notifier.losing = True
        registry.push("app", "1", "x")
        registry.notifier.losing = False
        registry.push("app", "2", "x")
        await registry.told()
        assert [event["target"]["tag"] for event in endpoint.events] == ["2"]
        assert len(registry.notifier.events) == 2


async def test_a_refused_token_is_answered_with_what_is_needed() -> None:
    seen: list[tuple[str, Sequence[tuple[str, str, str]]]] = []

    def verify(header: str, needs: Sequence[tuple[str, str, str]]) -> bool:
        seen.append((header, needs))
        return False

    async with GitLabRegistry(verify=verify, challenge='Bearer realm="r",service="s"') as registry:
        status, body, headers = await ask(
            registry, "GET", "/gitlab/v1/repository-paths/a/repositories/list/", headers={"Authorization": "Bearer x"}
        )
        assert (status, body["errors"][0]["code"]) == (401, "UNAUTHORIZED")
        assert (
            headers["WWW-Authenticate"]
            == 'Bearer realm="r",service="s",scope="repository:a:pull repository:a/*:pull"'
        )
        await ask(registry, "PUT", "/v2/a/manifests/1")
        await ask(registry, "DELETE", "/v2/a/manifests/1")
        await ask(registry, "GET", "/v2/")
        assert seen == [
            ("Bearer x", [("repository", "a", "pull"), ("repository", "a/*", "pull")]),
            ("", [("repository", "a", "pull"), ("repository", "a", "push")]),
            ("", [("repository", "a", "delete")]),
            ("", []),
        ]
