"""The chart's pod, running: how it starts and ends, and its addresses. tests/e2e/test_story.py has what it serves."""

from __future__ import annotations

import aiohttp
import pytest

from extproc.sandbox.site import open_sites
from tests.helm.installed import installed
from tests.support.registry_client import RegistryClient

pytestmark = pytest.mark.e2e

KEYS_URL = {"name": "GEO_EXTPROC_AUTH__KEYS_URL", "value": "http://127.0.0.1:1/jwks"}


async def test_the_first_request_is_decided_and_each_port_serves_what_it_is_for() -> None:
    async with (
        open_sites() as sites,
        installed(sites, settings={}) as pod,
        aiohttp.ClientSession() as session,
    ):

        async def ask(port: int, path: str) -> tuple[int, str]:
            async with session.get(pod.url(port) + path) as answer:
                return answer.status, await answer.text()

        async with session.get(f"{pod.url(5000)}/v2/") as first:
            assert (first.status, first.headers.get("x-geo-reason")) == (401, "token-missing")
        assert await ask(9902, "/ready") == (200, "LIVE\n")
        status, statistics = await ask(9902, "/stats/prometheus")
        assert status == 200
        assert "envoy_http_ext_proc_streams_started" in statistics
        assert (await ask(9902, "/config_dump"))[0] == 404
        assert (await ask(9001, "/readyz"))[0] == 200
        assert "geo_extproc_decisions_total" in (await ask(9001, "/metrics"))[1]
        envoy, processor = pod.processes["envoy"], pod.processes["processor"]
        await pod.end()
        assert not envoy.running
        assert not processor.running
        assert '"event": "serving"' in processor.log.read_text()
        assert '"level": "error"' not in processor.log.read_text()


async def test_without_a_key_there_is_a_gateway_all_the_same() -> None:
    """The issuer cannot be asked: the pod starts, and the primary judges every token."""
    async with (
        open_sites() as sites,
        installed(sites, settings={}, keys={"existingSecret": ""}, extraEnv=[KEYS_URL]) as pod,
        RegistryClient(pod.url(5000), sites.auth_url, "reader") as reader,
    ):
        answer = await reader.send("GET", "/v2/", scope="repository:a/x:pull")
        assert (answer.status, answer.site, answer.reason) == (200, "primary", "token-unverifiable")
