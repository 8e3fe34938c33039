"""A stand-in for GitLab's container registry, which cannot run here: what its documentation says it does, no more.

Sources; each behaviour names the one it is from:
[api]      gitlab.com/gitlab-org/container-registry, docs/spec/gitlab/api.md
[v2]       the same, docs/spec/docker/v2/api.md and docs/upstream-differences.md
[rename]   the same, docs/rename-base-repository-request-flow.md
[delete]   docs.gitlab.com/user/packages/container_registry/delete_container_registry_images/
[726]      gitlab.com/gitlab-org/container-registry/-/issues/726: in database mode, a digest's tags go without events
[1205]     gitlab.com/gitlab-org/container-registry/-/issues/1205: no referrers API
[1357]     gitlab.com/gitlab-org/container-registry/-/issues/1357: rename events
Events are described in gitlab_notifier.py. docs/gitlab.md says what this project relies on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from extproc.oci.reference import Digest
from tests.support.gitlab_access import Need, needs_of
from tests.support.gitlab_content import Content, Refused, digest_of
from tests.support.gitlab_listing import page_of
from tests.support.gitlab_notifier import Notifier
from tests.support.registry_client import MANIFEST, manifest_of

Handler = Callable[..., Awaitable[web.StreamResponse]]

_ROUTES: Final[Sequence[tuple[str, str]]] = (
    (r"/v2/", "base"),
    (r"/v2/_catalog", "catalog"),
    (r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)", "manifest"),
    (r"/v2/(?P<name>.+)/tags/reference/(?P<reference>[^/]+)", "tag_reference"),
    (r"/v2/(?P<name>.+)/tags/list", "tags"),
    (r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]*)", "upload"),
    (r"/v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)", "blob"),
    (r"/gitlab/v1/", "compliance"),
    (r"/gitlab/v1/repositories/(?P<name>.+)/tags/list/", "tag_details"),
    (r"/gitlab/v1/repository-paths/(?P<name>.+)/repositories/list/", "repositories"),
    (r"/gitlab/v1/repositories/(?P<name>.+)/", "repository"),
)


class GitLabRegistry:
    """An async context manager; inside it the registry listens on `url`."""

    def __init__(
        self,
        *,
        database: bool = True,
        notify: str = "",
        authorization: str = "Bearer secret",
        references: bool = True,
        backoff: float = 0.001,
        verify: Callable[[str, Sequence[Need]], bool] | None = None,
        challenge: str = "",
    ) -> None:
        """`database`: the metadata database is on. `notify`: where events are posted, with `authorization`.

        `verify` takes the Authorization header and what the request needs; what it refuses gets a 401 with
        `challenge` (`Bearer realm="…",service="…"`) and the scope.
        """
        self.database = database
        self.content = Content()
        self.notifier = Notifier(notify, authorization, backoff=backoff)
        self.requests: list[tuple[str, str]] = []
        """Method, and path with query, of each request."""
        self.url = ""
        self._references = references
        self._verify = verify
        self._challenge = challenge
        self._routes = [(re.compile(pattern), handler) for pattern, handler in _ROUTES]
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.notifier.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.notifier.stop()
        await self._runner.cleanup()

    async def told(self) -> None:
        """Until every event so far is delivered or dropped."""
        await self.notifier.told()

    # What tests do at the registry itself, events included.

    def push(self, name: str, tag: str, version: str, *layers: bytes) -> Digest:
        """A whole image; the digest of its manifest."""
        for blob in (b"{}", *layers):
            self.content.add_blob(name, blob)
        return self.put_manifest(name, tag, manifest_of(b"{}", version, layers))

    def put_manifest(self, name: str, reference: str, content: bytes, media_type: str = MANIFEST) -> Digest:
        """[events] A push tells media type, size, digest, tag and, where configured, references."""
        stored = self.content.add_manifest(name, reference, media_type, content)
        self.notifier.tell(
            "push",
            "PUT",
            mediaType=media_type,
            size=len(content),
            length=len(content),
            digest=stored.digest,
            repository=name,
            url=f"{self.url}/v2/{name}/manifests/{stored.digest}",
            tag="" if ":" in reference else reference,
            references=stored.references if self._references else [],
        )
        return stored.digest

    def delete(self, name: str, reference: str) -> None:
        """[delete] A tag alone, or a manifest with all its tags.

        [726] With the database the tags of a digest go without an event; without it there is one for each, then the
        digest's. [v2] With the database a manifest that an index lists cannot be deleted; which status and code tell
        so is our guess.
        """
        repository = self.content.repository(name)
        if ":" not in reference:
            if repository.tags.pop(reference, None) is None:
                raise Refused(404, "MANIFEST_UNKNOWN")
            self.notifier.tell("delete", "DELETE", repository=name, tag=reference)
            return
        stored = repository.find(reference)
        if self.database and any(repository.holders(stored.digest)):
            raise Refused(409, "MANIFEST_REFERENCED_IN_LIST")
        del repository.manifests[stored.digest]
        for tag in [tag for tag, digest in repository.tags.items() if digest == stored.digest]:
            del repository.tags[tag]
            if not self.database:
                self.notifier.tell("delete", "DELETE", repository=name, tag=tag)
        self.notifier.tell("delete", "DELETE", repository=name, digest=stored.digest)

    def rename(self, path: str, *, name: str = "", namespace: str = "") -> str:
        """[api] The origin and all its sub-repositories; [1357] one event, for the origin. Gives the new path."""
        parent, _, own = path.rpartition("/")
        new = f"{namespace}/{own}" if namespace else f"{parent}/{name}" if parent else name
        if not self.content.below(path):
            raise Refused(404, "NAME_UNKNOWN")
        if self.content.below(new):
            raise Refused(409, "RENAME_CONFLICT")
        self.content.rename(path, new)
        rename = {"type": "namespace" if namespace else "name", "from": path, "to": new}
        self.notifier.tell("rename", "PATCH", repository=path, rename=rename)
        return new

    # HTTP

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        found = self._find(request.path)
        if found is None:
            if request.path.startswith("/gitlab/") and self._find(request.path + "/"):
                return web.Response(status=301, headers={"Location": request.path + "/"})  # [api] "Strict Slash"
            return web.Response(status=404, text="404 page not found\n")
        route, parts = found
        needs = needs_of(request.method, route, parts)
        try:
            self._admit(request, route, needs)
            handler: Handler = getattr(self, f"_{route}")
            return await handler(request, **parts)
        except Refused as refused:
            errors = [{"code": refused.code, "message": refused.code.lower(), "detail": None}]
            response = web.json_response({"errors": errors}, status=refused.status)
            if refused.status == 401:
                response.headers["WWW-Authenticate"] = self._challenged(needs)
            return response

    def _find(self, path: str) -> tuple[str, dict[str, str]] | None:
        """The handler's name and the path's parts."""
        for pattern, route in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                return route, match.groupdict()
        return None

    def _admit(self, request: web.BaseRequest, route: str, needs: Sequence[Need]) -> None:
        """[api] The same tokens as for /v2/; without the metadata database its part of the API answers 404."""
        if self._verify is not None and not self._verify(request.headers.get("Authorization", ""), needs):
            raise Refused(401, "UNAUTHORIZED")
        if route in ("compliance", "tag_details", "repositories", "repository") and not self.database:
            raise Refused(404, "NOT_FOUND")

    def _challenged(self, needs: Sequence[Need]) -> str:
        scope = " ".join(":".join(need) for need in needs)
        return f'{self._challenge},scope="{scope}"' if scope else self._challenge

    async def _base(self, request: web.BaseRequest) -> web.Response:
        """[v2] "Custom headers on GET /v2/"."""
        database = str(self.database).lower()
        return web.json_response(
            {},
            headers={
                "Docker-Distribution-Api-Version": "registry/2.0",
                "Gitlab-Container-Registry-Version": "4.19.0-gitlab",
                "Gitlab-Container-Registry-Features": "tag_delete",
                "Gitlab-Container-Registry-Database-Enabled": database,
            },
        )

    async def _compliance(self, request: web.BaseRequest) -> web.Response:
        """[api] 200 with the database, else 404 (see `_admit`)."""
        return web.Response()

    async def _catalog(self, request: web.BaseRequest) -> web.Response:
        names, headers = page_of(request, self.url, sorted(self.content.repositories))
        return web.json_response({"repositories": names}, headers=headers)

    async def _manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.Response:
        match request.method:
            case "GET" | "HEAD":
                stored = self.content.repository(name).find(reference)
                headers = {"Docker-Content-Digest": stored.digest, "Content-Type": stored.media_type}
                return web.Response(body=stored.content, headers=headers)
            case "PUT":
                media_type = request.headers.get("Content-Type", MANIFEST)
                digest = self.put_manifest(name, reference, await request.read(), media_type)
                return web.Response(status=201, headers={"Docker-Content-Digest": digest})
            case "DELETE":
                self.delete(name, reference)
                return web.Response(status=202)
        raise Refused(405, "UNSUPPORTED")

    async def _tag_reference(self, request: web.BaseRequest, name: str, reference: str) -> web.Response:
        """[v2] "Tag Delete"; deprecated since GitLab 16.4, still there."""
        if request.method != "DELETE":
            raise Refused(405, "UNSUPPORTED")
        self.delete(name, reference)
        return web.Response(status=202)

    async def _tags(self, request: web.BaseRequest, name: str) -> web.Response:
        """[v2] Pages only with the database; `tags` is null when there are none."""
        tags = sorted(self.content.repository(name).tags)
        headers: dict[str, str] = {}
        if self.database:
            tags, headers = page_of(request, self.url, tags)
        return web.json_response({"name": name, "tags": tags or None}, headers=headers)

    async def _blob(self, request: web.BaseRequest, name: str, digest: str) -> web.Response:
        blobs = self.content.repository(name).blobs
        if digest not in blobs:
            raise Refused(404, "BLOB_UNKNOWN")
        if request.method == "DELETE":
            blobs.remove(digest)
            self.notifier.tell("delete", "DELETE", repository=name, digest=digest)
            return web.Response(status=202)
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.Response(body=self.content.blobs[digest], headers=headers)

    async def _upload(self, request: web.BaseRequest, name: str, upload: str) -> web.Response:
        """A whole blob at once: POST, then PUT with its digest."""
        if request.method == "POST":
            location = f"{self.url}/v2/{name}/blobs/uploads/1"
            return web.Response(status=202, headers={"Location": location})
        content = await request.read()
        if request.method != "PUT" or request.query.get("digest") != digest_of(content):
            raise Refused(400, "DIGEST_INVALID")
        digest = self.content.add_blob(name, content)
        self.notifier.tell(
            "push",
            "PUT",
            mediaType="application/octet-stream",
            size=len(content),
            length=len(content),
            digest=digest,
            repository=name,
            url=f"{self.url}/v2/{name}/blobs/{digest}",
        )
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async def _tag_details(self, request: web.BaseRequest, name: str) -> web.Response:
        """[api] "List Repository Tags": up to 1,000 a page, after `last`; `referrers=true` adds them to each."""
        repository = self.content.repository(name)
        tags, headers = page_of(request, self.url, sorted(repository.tags))
        body = []
        for tag in tags:
            stored = repository.manifests[repository.tags[tag]]
            entry: dict[str, Any] = {
                "name": tag,
                "digest": stored.digest,
                "media_type": stored.media_type,
                "size_bytes": len(stored.content),
                "created_at": "2022-06-07T12:10:12.412Z",
                "published_at": "2022-06-07T12:10:12.412Z",
            }
            if request.query.get("referrers") == "true":
                entry["referrers"] = [
                    {"artifactType": each.document.get("artifactType", ""), "digest": each.digest}
                    for each in repository.referrers(stored.digest)
                ]
            body.append(entry)
        return web.json_response(body, headers=headers)

    async def _repositories(self, request: web.BaseRequest, name: str) -> web.Response:
        """[api] "List Sub Repositories": those with a tag; 404 when the top-level namespace is unknown."""
        if not self.content.below(name.partition("/")[0]):
            raise Refused(404, "NAME_UNKNOWN")
        tagged = [each for each in self.content.below(name) if self.content.repositories[each].tags]
        names, headers = page_of(request, self.url, tagged)
        body = [
            {"name": each.rpartition("/")[2], "path": each, "created_at": "2022-06-07T12:11:13Z"} for each in names
        ]
        return web.json_response(body, headers=headers)

    async def _repository(self, request: web.BaseRequest, name: str) -> web.Response:
        """[api] "Get repository details", "Rename/Move Origin Repository": 204, or 202 for a dry run."""
        if request.method == "GET":
            self.content.repository(name)
            return web.json_response({"name": name.rpartition("/")[2], "path": name})
        if request.method != "PATCH":
            raise Refused(405, "UNSUPPORTED")
        body = json.loads(await request.read())
        if bool(body.get("name")) == bool(body.get("namespace")):
            raise Refused(400, "INVALID_BODY_PARAMETER_TYPE")
        if request.query.get("dry_run") == "true":
            return web.json_response({"ttl": "2009-11-10T23:00:00.005Z"}, status=202)
        self.rename(name, name=body.get("name", ""), namespace=body.get("namespace", ""))
        return web.Response(status=204)
