"""The secondary as a stand-in of few answers; the real one is in tests/e2e/test_doctor.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from extproc.doctor.installation import Wishes
from extproc.oci.reference import Name
from tests.doctor.replies import found, settings_of, states
from tests.registry.server import Answering, Server, scripted
from tests.support.registry_client import MANIFEST, digest_of, manifest_of

CONTENT = manifest_of(b"{}", "1")
WISHES = Wishes(repository=Name("a/b"))


def registry(blob: web.Response) -> Answering:
    """One that holds one manifest; its blob is answered so."""

    async def answer(request: web.BaseRequest) -> web.Response:
        headers = {"Docker-Content-Digest": digest_of(CONTENT), "Content-Type": MANIFEST}
        match request.path.removeprefix("/v2/a/b/").split("/"):
            case ["tags", "list"]:
                return web.json_response({"name": "a/b", "tags": ["v1"]})
            case ["manifests", _]:
                return web.Response(body=CONTENT, headers=headers)
            case ["blobs", _]:
                return web.Response(status=blob.status, headers=blob.headers.copy())
        return web.Response(status=404)

    return answer


@pytest.mark.parametrize(
    ("status", "location", "expected"),
    [
        pytest.param(200, "", ("blob", "ok"), id="itself"),
        pytest.param(404, "", ("blob", "unknown"), id="lost"),
        pytest.param(307, "s3://bucket/x", ("blob", "fault"), id="another scheme"),
        pytest.param(307, "http://[/", ("blob", "fault"), id="no URL"),
        pytest.param(307, "http://no.such.invalid/x", ("blob", "fault"), id="a name that nobody has"),
    ],
)
async def test_answers(tmp_path: Path, status: int, location: str, expected: tuple[str, str]) -> None:
    blob = web.Response(status=status, headers={"Location": location} if location else {})
    async with Server(registry(blob)) as server:
        settings = settings_of(tmp_path, sites={"secondary": {"url": server.url}})
        findings = await found("redirects", settings, WISHES)
    assert states(findings) == [expected]


@pytest.mark.parametrize(("status", "state"), [(206, "warning"), (403, "fault"), (503, "fault")])
async def test_what_the_storage_answers(tmp_path: Path, status: int, state: str) -> None:
    async with Server(scripted(web.Response(status=status))) as storage:
        blob = web.Response(status=307, headers={"Location": f"{storage.url}/x?sig=hidden"})
        async with Server(registry(blob)) as server:
            settings = settings_of(tmp_path, sites={"secondary": {"url": server.url}})
            findings = await found("redirects", settings, WISHES)
    assert states(findings) == [("blob", state)]
    assert storage.url in findings[0].text
    assert "hidden" not in str(findings)


async def test_nothing_to_ask_about(tmp_path: Path) -> None:
    async with Server(scripted(web.json_response({"repositories": []}))) as server:
        settings = settings_of(tmp_path, sites={"secondary": {"url": server.url}})
        findings = await found("redirects", settings)
    assert states(findings) == [("blob", "unknown")]
    assert "--repository" in findings[0].remedy
