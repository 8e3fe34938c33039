from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.bootstrap import render
from extproc.doctor.envoy_config import differences, judged, rendered, running
from extproc.doctor.finding import State
from tests.doctor.replies import found, settings_of


@pytest.mark.parametrize(
    ("wanted", "runs", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="same"),
        pytest.param("0.250s", "0.25s", [], id="a duration in other digits"),
        pytest.param("1s", "2s", ["x: '2s' runs, '1s' is rendered"], id="another duration"),
        pytest.param(5, "5", [], id="a long number"),
        pytest.param(True, 1.5, ["x: 1.5 runs, True is rendered"], id="another type"),
        pytest.param("/etc/key.pem", "[redacted]", [], id="what leads to a key is hidden"),
        pytest.param({"a": 1, "b": 2}, {"b": 2}, ["x, a: nothing runs, 1 is rendered"], id="left out"),
        pytest.param({}, {"b": {"c": 2}}, ["x, b: a value of parts runs, nothing is rendered"], id="more"),
        pytest.param([{"name": "r"}], [{"name": "s"}], ["x r, name: 's' runs, 'r' is rendered"], id="in a list"),
        pytest.param([1], [1, 2], ["x: 2 entries run, 1 are rendered"], id="a longer list"),
        pytest.param(
            {"a": [1]}, {"a": {}}, ["x, a: a value of parts runs, a value of parts is rendered"], id="shape"
        ),
    ],
)
def test_differences(wanted: Any, runs: Any, expected: list[str]) -> None:
    assert list(differences(wanted, runs, "x")) == expected


def dump_of(document: dict[str, Any], *, dynamic: bool) -> dict[str, Any]:
    """As Envoy shows it, or as it would if a control plane had given it."""
    resources = document["static_resources"]
    clusters = [{"cluster": {"@type": "Cluster", **each}} for each in resources["clusters"]]
    listeners = [{"@type": "Listener", **each} for each in resources["listeners"]]
    if dynamic:
        return {
            "configs": [
                {"dynamic_active_clusters": clusters},
                {"dynamic_listeners": [{"name": "x", "active_state": {"listener": each}} for each in listeners]},
                {"dynamic_listeners": [{"name": "being warmed"}]},
            ]
        }
    return {"configs": [{"static_clusters": clusters}, {"static_listeners": [{"listener": x} for x in listeners]}]}


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
def test_what_is_rendered_is_what_runs(tmp_path: Path, fallback: str) -> None:
    document = yaml.safe_load(render(settings_of(tmp_path, envoy={"fallback": fallback})))
    given = running(dump_of(document, dynamic=True))
    runs = running(dump_of(document, dynamic=False))
    assert given == runs
    assert judged(runs, rendered(document)).state is State.OK
    for changed in ({"per_try_timeout": 4}, {"listen": "0.0.0.0:5001"}):
        other = yaml.safe_load(render(settings_of(tmp_path, envoy={"fallback": fallback, **changed})))
        finding = judged(runs, rendered(other))
        assert finding.state is State.FAULT
        assert finding.text.startswith("Envoy's configuration differs: ")


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    document = yaml.safe_load(render(settings_of(tmp_path)))
    runs = running(dump_of(document, dynamic=False))
    del runs["cluster", "geo_extproc"]
    finding = judged(runs, rendered(document))
    assert "cluster geo_extproc: nothing runs" in finding.text
    runs["cluster", "of the mesh"] = {}
    assert judged(runs, rendered(document)) == finding, "what others add is theirs"


def test_configured_by_other_means(tmp_path: Path) -> None:
    document = yaml.safe_load(render(settings_of(tmp_path)))
    assert judged({("cluster", "x"): {}}, rendered(document)).state is State.UNKNOWN


async def test_nobody_to_ask(tmp_path: Path) -> None:
    (finding,) = await found("envoy-config", settings_of(tmp_path, envoy={"admin": "127.0.0.1:1"}))
    assert finding.state is State.UNKNOWN
