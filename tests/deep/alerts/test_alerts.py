"""Each alert fires in the fault that it is for, and clears after it: a real Prometheus, a real site under load."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import web

from tests.auth.issuer import jwk
from tests.dashboards.files import rules
from tests.deep.alerts.causes import CAUSES, Cause
from tests.deep.alerts.shortened import shortened
from tests.deep.alerts.told import Replication, replicating
from tests.faults.fault import under_load
from tests.faults.rig import Rig, open_rig
from tests.registry.server import Server
from tests.support.program import Program
from tests.support.prometheus import Prometheus, targets
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]

WITHIN: Final = 180.0
"""Seconds: the longest range is 60, the longest `for` 60, too."""
KEYS: Final = frozenset({"GeoNoKeys", "GeoKeyFetchFailing"})
NOT_SCRAPED: Final = frozenset({"GeoNotScraped"})
STOPPED: Final = frozenset({"GeoReplicationStopped"})
Times = dict[str, tuple[float, float]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with open_rig() as opened, under_load(opened):
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module", autouse=True)
async def replication(rig: Rig) -> AsyncIterator[Replication]:
    async with replicating(rig) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prometheus(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    async with Prometheus(folder, targets(rig.sandbox), shortened(folder)) as opened:
        yield opened


@pytest.fixture(scope="module")
def times(request: pytest.FixtureRequest) -> Iterator[Times]:
    """Seconds to fire and to clear, by alert; printed at the end."""
    found: Times = {}
    yield found
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{'alert':30} fired after  cleared after (durations: see shortened.py)")
        for alert, (fired, cleared) in sorted(found.items()):
            print(f"{alert:30} {fired:9.1f} s  {cleared:11.1f} s")


async def test_every_alert_has_a_cause() -> None:
    caused = {alert for cause in CAUSES.values() for alert in cause.alerts}
    caused |= KEYS | NOT_SCRAPED | STOPPED
    assert caused == {rule["alert"] for rule in rules()}


async def fires(prometheus: Prometheus, alerts: frozenset[str]) -> None:
    """All of them, each once at least; and what they say is whole."""
    seen: set[str] = set()

    async def all_fired() -> bool:
        for alert in await prometheus.alerts():
            says_what_it_knows(alert)
            seen.add(alert["labels"]["alertname"])
        return alerts <= seen

    await prometheus.until(all_fired, f"{sorted(alerts)} fire", WITHIN)


def says_what_it_knows(alert: dict[str, Any]) -> None:
    (rule,) = [each for each in rules() if each["alert"] == alert["labels"]["alertname"]]
    for name, template in rule["annotations"].items():
        said = alert["annotations"][name]
        assert "<" not in said, f"{rule['alert']}: {said}"  # "<no value>", "<error expanding template>"
        for label in re.findall(r"\$labels\.(\w+)", template):
            assert alert["labels"][label] in said


async def clears(prometheus: Prometheus, alerts: frozenset[str]) -> None:
    async def all_cleared() -> bool:
        return not alerts & await prometheus.firing()

    await prometheus.until(all_cleared, f"{sorted(alerts)} clear", WITHIN)


async def quiet(prometheus: Prometheus) -> None:
    async def none_fires() -> bool:
        return not await prometheus.firing()

    await prometheus.until(none_fires, "no alert fires", WITHIN)


@pytest.mark.parametrize("cause", [pytest.param(cause, id=name.replace(" ", "-")) for name, cause in CAUSES.items()])
async def test_fault(rig: Rig, prometheus: Prometheus, times: Times, cause: Cause) -> None:
    await quiet(prometheus)
    began = time.monotonic()
    async with cause.act(rig):
        await fires(prometheus, cause.alerts)
        fired = time.monotonic()
    ended = time.monotonic()
    await clears(prometheus, cause.alerts)
    for alert in cause.alerts:
        times[alert] = (fired - began, time.monotonic() - ended)


async def test_replication_that_stops(
    rig: Rig, prometheus: Prometheus, replication: Replication, times: Times
) -> None:
    await quiet(prometheus)
    began = time.monotonic()
    replication.stopped = True
    try:
        await fires(prometheus, STOPPED)
        fired = time.monotonic()
    finally:
        replication.stopped = False
    await clears(prometheus, STOPPED)
    for alert in STOPPED:
        times[alert] = (fired - began, time.monotonic() - fired)


async def test_a_job_that_is_not_scraped(rig: Rig, prometheus: Prometheus, times: Times) -> None:
    both = targets(rig.sandbox)
    for job in both:
        await quiet(prometheus)
        began = time.monotonic()
        await prometheus.scrape({name: target for name, target in both.items() if name != job})
        try:
            await fires(prometheus, NOT_SCRAPED)
            fired = time.monotonic()
        finally:
            await prometheus.scrape(both)
        await clears(prometheus, NOT_SCRAPED)
        for alert in NOT_SCRAPED:
            times[alert] = (fired - began, time.monotonic() - fired)


async def test_keys_that_cannot_be_fetched(tmp_path: Path, times: Times) -> None:
    """A processor of its own, which has never had a key; then its issuer comes."""
    there = False

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"keys": [jwk("rsa")]}) if there else web.Response(status=503)

    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(Server(answer))
        redis = stack.enter_context(RedisServer(tmp_path / "redis"))
        auth = (
            f'auth.realm = "{issuer.url}/jwt/auth"\nauth.keys_url = "{issuer.url}/keys"\n'
            "auth.keys_refresh = 1\nauth.keys_min_interval = 1\n"
        )
        settings = f'store.url = "{redis.url}"\nserver.workers = 2\n'
        program = stack.enter_context(Program(tmp_path, settings, auth=auth))
        scraped = {"geo-extproc": (f"127.0.0.1:{program.admin_port}", "/metrics")}
        prometheus = await stack.enter_async_context(
            Prometheus(tmp_path / "prometheus", scraped, shortened(tmp_path))
        )
        began = time.monotonic()
        await fires(prometheus, KEYS)
        fired = time.monotonic()
        there = True
        await clears(prometheus, KEYS)
        for alert in KEYS:
            times[alert] = (fired - began, time.monotonic() - fired)
