"""The alert rules as a file, and by promtool's unit tests: each fires when it should, and not on a healthy site."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.files import ALERTS, RUNBOOK, every_expression, metrics, rules, selectors
from tests.dashboards.test_dashboard import bare, known

CASES = Path(__file__).with_name("alerts.yaml")
NOTHING_FIRES = (
    "a healthy site",
    "a promoted site, whose former primary is gone",
    "a site that nobody uses",
    "a site where something happens now and then",
)


def promtool(*arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(("promtool", *arguments), capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


def test_each_fires_in_its_time_and_clears() -> None:
    """The file says what is expected; here, that it says it of every rule."""
    assert "SUCCESS" in promtool("test", "rules", CASES.name, cwd=CASES.parent)
    cases = [case for case in yaml.safe_load(CASES.read_text())["tests"] if case["name"] not in NOTHING_FIRES]
    assert {alert_of(case) for case in cases} == {rule["alert"] for rule in rules()}
    for case in cases:
        early, fires, clears = (check["exp_samples"] for check in case["promql_expr_test"])
        assert [sample["labels"] for sample in fires] == [f'{{alertname="{alert_of(case)}"}}']
        assert early == clears == []


def test_none_fires_where_nothing_is_wrong() -> None:
    cases = {case["name"]: case["promql_expr_test"] for case in yaml.safe_load(CASES.read_text())["tests"]}
    for name in NOTHING_FIRES:
        assert [check["exp_samples"] for check in cases[name]] == [[], [], []]


def alert_of(case: dict[str, Any]) -> str:
    """A case is called by its alert, and after a comma by what is special about it."""
    return str(case["name"]).partition(",")[0]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_rule_is_whole(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"[1-9]\d*[mh]", rule["for"]), "what lasts a moment wakes nobody"
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
    ours = {bare(name) for name in metrics(rule["expr"]) if name.startswith("geo_extproc_")}
    assert ours <= known()
    assert ours or "envoy_" in rule["expr"] or "up{" in rule["expr"]


def test_the_configuration_of_the_runbook_scrapes_what_the_rules_are_about(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", RUNBOOK.read_text(), flags=re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(example)
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text())
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    scraped = {each["job_name"] for each in yaml.safe_load(example)["scrape_configs"]}
    asked = {
        value
        for rule in rules()
        for each in selectors(rule["expr"])
        for label, _, value in each.matchers
        if label == "job"
    }
    assert asked == scraped


def test_the_runbook_names_every_statistic_of_envoy() -> None:
    """Who drops the others must not drop one of these. Of histograms the name without its kind."""
    told = set(re.findall(r"`(envoy_\w+)`", RUNBOOK.read_text()))
    used = {name for _, expression in every_expression() for name in metrics(expression) if name.startswith("envoy_")}
    assert {name.removesuffix("_bucket") for name in used} == told


def test_each_has_its_page_in_the_runbook_and_the_other_way_round() -> None:
    sections = set(re.findall(r"^### (Geo\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE))
    assert sections == {rule["alert"] for rule in rules()}
