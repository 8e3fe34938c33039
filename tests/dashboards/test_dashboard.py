"""The dashboard as a file: whole, and about metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from extproc.telemetry import names
from tests.dashboards.files import DASHBOARD, metrics, panel_queries, panel_targets, panels

KINDS = {"_total", "_seconds", "_bucket", "_count", "_sum"}


def known() -> set[str]:
    """Our metrics as Prometheus calls them, without what their kind adds. tests/test_docs.py looks for each in
    docs/operations.md."""
    ours = {
        value
        for key, value in vars(names).items()
        if isinstance(value, str) and value.startswith("geo_extproc.") and not key.endswith("SPAN")
    }
    return {value.replace(".", "_") for value in ours}


def bare(metric: str) -> str:
    while any(metric.endswith(kind) for kind in KINDS):
        metric = metric[: metric.rindex("_")]
    return metric


def rectangles() -> Iterator[tuple[int, int]]:
    """Each cell of the grid that a panel covers."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        yield from ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"]))


def test_it_stays_the_same_dashboard() -> None:
    document = json.loads(DASHBOARD.read_text())
    assert document["uid"] == "geo-registry", "links and bookmarks name it"
    variables = {each["name"]: each for each in document["templating"]["list"]}
    assert variables["datasource"]["type"] == variables["traces"]["type"] == "datasource"
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))


def test_no_panel_covers_another() -> None:
    cells = list(rectangles())
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_each_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"]["uid"] in {"${datasource}", "${traces}"}
    assert panel["targets"]
    if panel["type"] != "table":
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize(("title", "expression"), list(panel_queries()))
def test_it_asks_for_metrics_that_exist(title: str, expression: str) -> None:
    asked = metrics(expression)
    assert asked, "nothing of ours is asked for"
    assert {bare(name) for name in asked if name.startswith("geo_extproc_")} <= known()
    assert "$" not in expression, "a variable of Grafana that nobody fills in"


@pytest.mark.parametrize(("title", "legend", "expression"), list(panel_targets()))
def test_lines_are_called_by_what_they_are_grouped_by(title: str, legend: str, expression: str) -> None:
    """Else two lines have one name, or a line has none."""
    named = set(re.findall(r"\{\{(\w+)\}\}", legend))
    grouped = [set(re.split(r",\s*", labels)) - {"le"} for labels in re.findall(r"\bby \(([^)]*)\)", expression)]
    if grouped:
        assert all(labels == named for labels in grouped)
    elif named:
        assert re.fullmatch(r"\w+\{[^}]*\}", expression), "what is added up has no labels"


def test_what_matters_is_on_it() -> None:
    """Every metric of ours, but for those that say how this was made."""
    shown = {bare(name) for _, expression in panel_queries() for name in metrics(expression)}
    left_out = known() - shown
    assert left_out == {
        "geo_extproc_renewals",  # docs/renewal.md
        "geo_extproc_configuration_reloads",  # whether one is broken is shown
    }


def test_spans_are_asked_for_by_attributes_that_they_have() -> None:
    """tests/dashboards/test_prometheus.py compares them with real ones."""
    (table,) = [panel for panel in panels() if panel["type"] == "table"]
    query = table["targets"][0]["query"]
    assert names.EXCHANGE_SPAN in query
    ours = {value for value in vars(names).values() if isinstance(value, str)}
    assert set(re.findall(r"span\.([\w.]+)", query)) <= ours
