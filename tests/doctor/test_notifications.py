from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.doctor.finding import State
from extproc.doctor.notifications import judged_arrivals, judged_with, judged_without, snippet
from tests.doctor.replies import found, reply, settings_of, states
from tests.support.ports import free_port


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param([200], ["ok"], id="taken"),
        pytest.param([401], ["fault"], id="another secret"),
        pytest.param([403], ["fault"], id="no secret there"),
        pytest.param([503], ["fault"], id="no store"),
        pytest.param([200, 401], ["fault"], id="the new one is not known yet"),
        pytest.param([], [], id="no secret here"),
    ],
)
def test_with_the_secret(statuses: list[int], expected: list[str]) -> None:
    findings = list(judged_with("primary", [reply(status) for status in statuses]))
    assert [finding.state.value for finding in findings] == expected
    if statuses == [200, 401]:
        assert "on line 2" in findings[0].text


def test_without_the_secret() -> None:
    assert [list(judged_without("primary", reply(status))) for status in (401, 403)] == [[], []]
    for status in (200, 404, 500):
        (finding,) = judged_without("primary", reply(status))
        assert finding.state is State.FAULT


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        pytest.param({"median_lag": 1.5, "awaited": 3}, State.OK, id="followed to here"),
        pytest.param({"median_lag": None, "awaited": 3}, State.WARNING, id="only told"),
        pytest.param({"median_lag": None, "awaited": 0}, State.UNKNOWN, id="nothing yet"),
        pytest.param(None, State.UNKNOWN, id="no store"),
    ],
)
def test_arrivals(evidence: dict[str, Any] | None, state: State) -> None:
    finding = judged_arrivals(evidence, "10.0.0.7:9001")
    assert finding.state is state
    assert bool(finding.remedy) == (state is not State.OK)


def test_the_snippet_is_what_a_registry_reads() -> None:
    _, _, text = snippet("secondary", "10.0.0.7:9001").partition(": ")
    found = yaml.safe_load(text.replace("notifications: {", "{notifications: {", 1) + "}")["notifications"]
    (endpoint,) = found["endpoints"]
    assert endpoint["url"] == "http://10.0.0.7:9001/notifications/secondary"
    assert endpoint["headers"] == {"Authorization": ["Bearer <secret>"]}
    assert found["events"] == {"includereferences": True}


async def test_a_file_that_cannot_be_used_and_nobody_there(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings = settings_of(tmp_path, notifications={"secret_file": "none"}, admin={"address": address})
    assert states(await found("notifications", settings)) == [("secret", "unknown")]
    (tmp_path / "none").write_text("secret\n")
    findings = await found("notifications", settings)
    assert states(findings) == [("endpoint", "fault")]
    assert address in findings[0].text
    assert "secret\n" not in str(findings)
