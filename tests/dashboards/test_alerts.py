"""The alert rules as a file, and by promtool's unit tests: each fires when it should, and not on a healthy site."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.files import ALERTS, RUNBOOK, metrics, rules
from tests.dashboards.test_dashboard import bare, known

CASES = Path(__file__).with_name("alerts.yaml")


def promtool(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(("promtool", *arguments), capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


def test_each_fires_and_none_on_a_healthy_site() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES.name, cwd=CASES.parent)
    *cases, healthy = yaml.safe_load(CASES.read_text())["tests"]
    assert [case["name"] for case in cases] == [rule["alert"] for rule in rules()]
    for case in cases:
        fires, clears = (check["exp_samples"] for check in case["promql_expr_test"])
        assert [sample["labels"] for sample in fires] == [f'{{alertname="{case["name"]}"}}']
        assert clears == []
    assert [check["exp_samples"] for check in healthy["promql_expr_test"]] == [[], [], []]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_rule_is_whole(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
    ours = {bare(name) for name in metrics(rule["expr"]) if name.startswith("geo_extproc_")}
    assert ours <= known()
    assert ours or "envoy_" in rule["expr"] or rule["expr"].startswith("up{")


def test_each_has_its_page_in_the_runbook_and_the_other_way_round() -> None:
    sections = set(re.findall(r"^### (Geo\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE))
    assert sections == {rule["alert"] for rule in rules()}
