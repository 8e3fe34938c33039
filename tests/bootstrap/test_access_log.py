"""One JSON line a request, without anything secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import NOWHERE, system, until


async def test_a_line_explains_a_request(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with system(tmp_path, steer="secondary", access_log=str(log)) as edge:
        edge.secondary.answer = answers(404)
        await edge.ask(
            "GET",
            "/v2/a/b/blobs/sha256:1?_state=signed",
            headers={"authorization": "Bearer very-secret", "user-agent": "a client"},
        )
        await until(lambda: log.exists() and log.read_text().endswith("\n"))
        text = log.read_text()
    (line,) = text.splitlines()
    said = json.loads(line)
    assert "secret" not in text
    assert "signed" not in text
    assert said["path"] == "/v2/a/b/blobs/sha256:1"
    assert (said["status"], said["site"], said["route"], said["reason"]) == (200, "primary", "secondary", "a-reason")
    assert (said["method"], said["attempts"], said["bytes_sent"]) == ("GET", 2, len("primary"))
    assert said["request_id"] == edge.primary.seen[0].headers["x-request-id"]


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize("steer", ["primary", "secondary", "primary-then-secondary"])
async def test_no_site_is_named_where_none_answered(tmp_path: Path, fallback: str, steer: str) -> None:
    log = tmp_path / "access.log"
    async with system(tmp_path, steer=steer, fallback=fallback, primary_url=NOWHERE, access_log=str(log)) as edge:
        assert edge.processor is not None
        edge.processor.set_headers["x-geo-stale"] = f"/v2/a/b/blobs/sha256:{'d' * 64}"
        edge.secondary.answer = answers(404)
        answered = await edge.ask("GET", "/v2/a/b/manifests/latest")
        assert (answered.status, answered.site) == (503, "none")
        await until(lambda: log.exists() and log.read_text().endswith("\n"))
        said = json.loads(log.read_text())
    assert (said["status"], said["site"], said["route"]) == (503, "none", steer)


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_the_site_is_named_though_the_client_is_not_told(tmp_path: Path, fallback: str) -> None:
    log = tmp_path / "access.log"
    async with system(
        tmp_path, steer="secondary", fallback=fallback, response_headers=False, access_log=str(log)
    ) as edge:
        assert (await edge.ask("GET", "/v2/")).site is None
        await until(lambda: log.exists() and log.read_text().endswith("\n"))
    assert json.loads(log.read_text())["site"] == "secondary"


async def test_standard_output(tmp_path: Path) -> None:
    async with system(tmp_path) as edge:
        await edge.ask("GET", "/v2/")
        log = edge.envoy.log
    (line,) = (line for line in log.read_text().splitlines() if line.startswith("{"))
    assert json.loads(line)["path"] == "/v2/"


async def test_none(tmp_path: Path) -> None:
    async with system(tmp_path, access_log="") as edge:
        await edge.ask("GET", "/v2/")
        log = edge.envoy.log
    assert '"path"' not in log.read_text()
