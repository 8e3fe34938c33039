from __future__ import annotations

from pathlib import Path

import pytest

from extproc.doctor.finding import State
from extproc.doctor.site_urls import judged
from tests.doctor.replies import found, peer_of, reply, settings_of, states
from tests.registry.server import Server, scripted
from tests.support.ports import free_port


@pytest.mark.parametrize("name", ["X-Geo-Site", "x-geo-reason"])
def test_headers_of_ours(name: str) -> None:
    (finding,) = judged("secondary", peer_of("http://x"), reply(401, (name, "y")), same=False)
    assert finding.state is State.FAULT
    assert "sites.secondary.url" in finding.remedy
    assert list(judged("secondary", peer_of("http://x"), reply(401), same=False)) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
async def test_an_address_of_the_listener_in_other_words(tmp_path: Path, host: str) -> None:
    from aiohttp import web

    async with Server(scripted(web.Response(status=401))) as server:
        port = server.url.rpartition(":")[2]
        sites = {"primary": {"url": f"http://{host}:{port}"}}
        settings = settings_of(tmp_path, sites=sites, envoy={"listen": f"0.0.0.0:{port}"})
        findings = await found("site-urls", settings)
        hidden = settings_of(tmp_path, sites=sites, envoy={"response_headers": False})
        unseen = await found("site-urls", hidden)
    assert states(findings) == [("primary", "fault"), ("secondary", "unknown")]
    assert "goes" in findings[0].text or "circle" in findings[0].text
    assert server.requests[0].headers["X-Request-Id"].startswith("geo-doctor-")
    assert "envoy.response_headers" in unseen[0].text


async def test_nobody_there(tmp_path: Path) -> None:
    sites = {name: {"url": f"http://127.0.0.1:{free_port()}"} for name in ("primary", "secondary")}
    findings = await found("site-urls", settings_of(tmp_path, sites=sites))
    assert states(findings) == [("primary", "unknown"), ("secondary", "unknown")]
