"""What of Envoy's admin interface others may reach, and that it is nothing else."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
import yaml
from yarl import URL

from extproc.bootstrap import render
from extproc.settings import Auth, Endpoint, Envoy, Settings, Site, Sites
from tests.bootstrap.stand_in import answers, upstream
from tests.bootstrap.system import system
from tests.support.envoy import validate

ANYWHERE = Endpoint(host="0.0.0.0", port=9902)  # noqa: S104 - on a free port of loopback, in these tests


async def test_two_pages_and_nothing_else(tmp_path: Path) -> None:
    async with upstream("envoy's admin") as pages:
        admin = Endpoint.parse(pages.url.partition("://")[2])
        async with system(tmp_path, status=ANYWHERE, admin=admin) as edge:
            url = await edge.envoy.listener_url("status")
            pages.answer = answers(200, text="LIVE")
            for target in ("/ready", "/stats/prometheus", "/stats/prometheus?usedonly"):
                async with edge.client.get(url + target) as answer:
                    assert (answer.status, await answer.text()) == (200, "LIVE")
            expected = ["GET /ready", "GET /stats/prometheus", "GET /stats/prometheus?usedonly"]
            assert [seen.line for seen in pages.seen] == expected
            for method, target in (
                ("POST", "/ready"),
                ("POST", "/stats/prometheus"),
                ("GET", "/"),
                ("GET", "/config_dump"),
                ("GET", "/stats"),
                ("GET", "/stats/prometheus/"),
                ("GET", "/ready/../config_dump"),
                ("GET", "/ready%2f..%2fconfig_dump"),
                ("POST", "/quitquitquit"),
                ("POST", "/runtime_modify?geo.promoted=100"),
            ):
                assert await ask(edge.client, method, url + target) == 404, target
            assert [seen.line for seen in pages.seen] == expected
            pages.answer = answers(503, text="DRAINING")
            async with edge.client.get(f"{url}/ready") as answer:
                assert (answer.status, await answer.text()) == (503, "DRAINING")


async def ask(client: aiohttp.ClientSession, method: str, url: str) -> int:
    """The status; the URL goes out as it is written."""
    async with client.request(method, URL(url, encoded=True)) as answer:
        return answer.status


@pytest.mark.parametrize("status", [None, ANYWHERE])
def test_it_is_there_where_it_is_asked_for(tmp_path: Path, status: Endpoint | None) -> None:
    settings = Settings(
        auth=Auth(mode="passthrough"),
        sites=Sites(primary=Site(url="http://10.0.0.1:5000"), secondary=Site(url="http://10.0.0.2:5000")),
        envoy=Envoy(status=status, admin=Endpoint(host=ANYWHERE.host, port=9901)),
    )
    text = render(settings)
    assert validate(text, tmp_path) == ""
    resources = yaml.safe_load(text)["static_resources"]
    names = [each["name"] for each in (*resources["listeners"], *resources["clusters"])]
    assert ("status" in names) is ("envoy_admin" in names) is (status is not None)
    for cluster in resources["clusters"]:
        if cluster["name"] == "envoy_admin":
            (locality,) = cluster["load_assignment"]["endpoints"]
            (end,) = locality["lb_endpoints"]
            assert end["endpoint"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}
