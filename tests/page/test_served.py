"""What Envoy counted, from its own words."""

from __future__ import annotations

import pytest
from aiohttp import web

from extproc.page.served import Envoy, EnvoyUnheard, Kind, counted
from extproc.settings import Endpoint
from tests.registry.server import Server
from tests.support.ports import free_port

PAGE = """\
# TYPE envoy_geo_served_bytes counter
envoy_geo_served_bytes{site="",route="",status="401"} 1152
envoy_geo_served_bytes{site="primary",route="primary",status="200"} 951961
envoy_geo_served_bytes{site="primary",route="secondary",status="200"} 1903513
envoy_geo_served_bytes{site="secondary",route="secondary",status="200"} 5709268
envoy_geo_served_bytes{site="secondary",route="secondary",status="307"} 40
# TYPE envoy_geo_served_requests counter
envoy_geo_served_requests{site="secondary",route="secondary",status="307"} 2
envoy_geo_served_requests{site="-",route="primary",status="503"} 3
# TYPE envoy_other counter
envoy_other{site="secondary"} 7
"""


def test_by_site_redirects_apart() -> None:
    assert counted(PAGE) == {
        Kind("bytes", "none", False): 1152,
        Kind("bytes", "primary", False): 951961 + 1903513,
        Kind("bytes", "secondary", False): 5709268,
        Kind("bytes", "secondary", True): 40,
        Kind("requests", "secondary", True): 2,
        Kind("requests", "none", False): 3,
    }


def test_an_envoy_that_has_served_nothing() -> None:
    assert counted("") == {}


async def test_it_is_asked_for_no_more_than_that() -> None:
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(text=PAGE)

    async with Server(answer) as server:
        found = await Envoy(Endpoint.parse(server.url.partition("//")[2])).served()
    assert found[Kind("bytes", "secondary", False)] == 5709268
    assert asked == ["/stats/prometheus?filter=geo%5C.served_"]


@pytest.mark.parametrize("status", [302, 403, 500])
async def test_one_that_does_not_tell(status: int) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers={"Location": "/"})

    async with Server(answer) as server:
        with pytest.raises(EnvoyUnheard, match=r"does not tell at http://127\.0\.0\.1:\d+: .*see that envoy\.admin"):
            await Envoy(Endpoint.parse(server.url.partition("//")[2])).served()


async def test_one_that_is_away() -> None:
    with pytest.raises(EnvoyUnheard, match=r"see that envoy\.admin is reachable from here"):
        await Envoy(Endpoint(host="127.0.0.1", port=free_port())).served()
