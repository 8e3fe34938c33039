from __future__ import annotations

from typing import Any

import pytest

from extproc.doctor.envoy import judged_clusters, judged_gateway, judged_version
from extproc.doctor.finding import State
from tests.doctor.replies import states


@pytest.mark.parametrize(
    ("status", "state"), [(401, State.OK), (200, State.OK), (503, State.FAULT), (404, State.FAULT)]
)
def test_gateway(status: int, state: State) -> None:
    assert judged_gateway("the gateway at http://x", status).state is state


@pytest.mark.parametrize(
    ("text", "fallback", "state"),
    [
        pytest.param("9e/1.40.0/Clean/RELEASE/BoringSSL", "composite", State.OK, id="composite"),
        pytest.param("9e/1.39.3/Clean/RELEASE/BoringSSL", "composite", State.FAULT, id="composite, old"),
        pytest.param("9e/1.39.3/Clean/RELEASE/BoringSSL", "priorities", State.OK, id="priorities"),
        pytest.param("9e/1.36.9/Clean/RELEASE/BoringSSL", "priorities", State.FAULT, id="priorities, old"),
        pytest.param("9e/2.0.0-dev/Modified/DEBUG/BoringSSL", "composite", State.OK, id="newer"),
        pytest.param("", "composite", State.UNKNOWN, id="not told"),
    ],
)
def test_version(text: str, fallback: str, state: State) -> None:
    found = judged_version(text, fallback)
    assert found.state is state
    assert ('"priorities"' in found.remedy) == (state is State.FAULT and fallback == "composite")


def host(port: int, **health: bool) -> dict[str, Any]:
    return {
        "address": {"socket_address": {"address": "10.0.0.1", "port_value": port}},
        "health_status": {"eds_health_status": "HEALTHY", **health},
    }


def worker(number: int, **health: bool) -> dict[str, Any]:
    return {"address": {"pipe": {"path": f"/run/worker-{number}.sock"}}, "health_status": health}


def clusters(**hosts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cluster_statuses": [{"name": name, "host_statuses": each} for name, each in hosts.items()]}


GOOD = {"geo_extproc": [worker(0), worker(1)], "primary": [host(1)], "secondary": [host(2)]}


def test_the_former_primary_may_be_away_once_this_site_is_the_primary() -> None:
    hosts = clusters(**{**GOOD, "primary": [host(1, failed_active_health_check=True)]})
    assert [each.state for each in judged_clusters(hosts, "composite")] == [State.FAULT, State.OK]
    (finding,) = judged_clusters(hosts, "composite", promoted=True)
    assert (finding.state, "primary" in finding.text) == (State.OK, False)


def test_all_are_well() -> None:
    (finding,) = judged_clusters(clusters(**GOOD), "composite")
    assert finding.state is State.OK
    assert "geo_extproc (2)" in finding.text


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        pytest.param(
            {"geo_extproc": [worker(0), worker(1, failed_active_health_check=True)]},
            "a worker of the processor unwell, /run/worker-1.sock: failed active health check",
            id="worker",
        ),
        pytest.param({"secondary": [host(2, failed_outlier_check=True)]}, "10.0.0.1:2", id="ejected"),
        pytest.param({"primary": []}, "no endpoint", id="not resolved"),
    ],
)
def test_one_is_not(changed: dict[str, Any], text: str) -> None:
    findings = list(judged_clusters(clusters(**{**GOOD, **changed}), "composite"))
    assert states(findings) == [("clusters", "fault"), ("clusters", "ok")]
    assert text in findings[0].text


def test_clusters_that_are_missing() -> None:
    findings = list(judged_clusters({}, "composite"))
    assert states(findings) == [("clusters", "fault")] * 3


def test_priorities_have_both_sites_in_one() -> None:
    hosts = {**GOOD, "secondary_first": [host(2, failed_active_health_check=True), host(1)]}
    findings = list(judged_clusters(clusters(**hosts), "priorities"))
    assert "secondary_first's endpoint unwell, 10.0.0.1:2" in findings[0].text
    assert states(findings) == [("clusters", "fault"), ("clusters", "ok")]
