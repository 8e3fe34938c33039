from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.bootstrap import render
from extproc.doctor.finding import State
from extproc.doctor.steering import FORGED, judged_config, judged_decision, judged_forgery, judged_past
from tests.doctor.replies import found, reply, settings_of, states


@pytest.mark.parametrize(
    ("site", "reason", "state"),
    [
        pytest.param("primary", "listing", State.OK, id="as it should be"),
        pytest.param("primary", "push-token", State.OK, id="with a token that may push"),
        pytest.param("primary", "", State.FAULT, id="no processor"),
        pytest.param("secondary", "listing", State.FAULT, id="the wrong site"),
        pytest.param("", "listing", State.FAULT, id="nobody"),
        pytest.param("primary", "token-unverifiable", State.FAULT, id="an unknown key"),
        pytest.param("", "scope-insufficient", State.UNKNOWN, id="an account that may not"),
    ],
)
def test_decision(site: str, reason: str, state: State) -> None:
    fields = [(name, value) for name, value in (("x-geo-site", site), ("x-geo-reason", reason)) if value]
    finding = judged_decision(reply(200, *fields))
    assert finding.state is state
    assert bool(finding.remedy) == (state is not State.OK)


def test_a_listing_that_nobody_answered() -> None:
    """Envoy's own 503 names the site `none`: a word for headers, not for a sentence."""
    finding = judged_decision(reply(503, ("x-geo-site", "none"), ("x-geo-reason", "listing")))
    assert finding.text == "a listing was answered by neither registry for listing (503), not by the primary"


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        pytest.param([("x-geo-site", "primary"), ("x-geo-reason", "listing")], 0, id="held"),
        pytest.param([("x-geo-site", "primary")], 0, id="no processor, and held"),
        pytest.param([("x-geo-site", "secondary"), ("x-geo-reason", "listing")], 1, id="steered"),
        pytest.param([("x-geo-site", "primary"), ("x-geo-reason", FORGED)], 1, id="explained"),
        pytest.param([("x-geo-reason", "listing"), ("x-geo-reason", FORGED)], 1, id="beside ours"),
        pytest.param([("x-geo-site", "secondary"), ("x-geo-reason", FORGED)], 2, id="both"),
    ],
)
def test_forgery(fields: list[tuple[str, str]], faults: int) -> None:
    findings = list(judged_forgery("once", reply(200, *fields)))
    assert states(findings) == [("answers", "fault")] * faults


def test_past_the_processor() -> None:
    assert judged_past(reply(200, ("x-geo-reason", FORGED))).state is State.FAULT
    assert judged_past(reply(200)).state is State.OK


def dump_with(rendered: dict[str, Any], **changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(rendered)
    (chain,) = document["static_resources"]["listeners"][0]["filter_chains"]
    chain["filters"][0]["typed_config"] |= changes
    return document


def test_config(tmp_path: Path) -> None:
    rendered = yaml.safe_load(render(settings_of(tmp_path)))
    assert judged_config(dump_with(rendered)).state is State.OK
    assert judged_config({}).state is State.UNKNOWN
    assert judged_config(dump_with(rendered, http_filters=[])).state is State.UNKNOWN
    without = judged_config(dump_with(rendered, early_header_mutation_extensions=[]))
    assert "x-geo-reason, x-geo-route, x-geo-site, x-geo-stale" in without.text
    some = [{"typed_config": {"mutations": [{"remove": "X-Geo-Route"}, {"remove": "x-geo-site"}, {"append": {}}]}}]
    part = judged_config(dump_with(rendered, early_header_mutation_extensions=some))
    assert (part.state, part.text) == (State.FAULT, "Envoy lets clients send x-geo-reason, x-geo-stale")


async def test_nothing_to_see(tmp_path: Path) -> None:
    nowhere = {"admin": "127.0.0.1:1", "listen": "127.0.0.1:2"}
    findings = await found("steering", settings_of(tmp_path, envoy=nowhere))
    assert states(findings) == [("config", "unknown"), ("answers", "unknown")]
    findings = await found("steering", settings_of(tmp_path, envoy={**nowhere, "response_headers": False}))
    assert "envoy.response_headers" in findings[1].text
