"""The dashboard and the rules, read for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "envoy" / "dashboard.json"
ALERTS: Final = ROOT / "envoy" / "alerts.yaml"
RUNBOOK: Final = ROOT / "docs" / "alerts.md"
_SELECTOR: Final = re.compile(r"\b(geo_extproc_\w+|envoy_\w+|ALERTS|up)\b(?:\{([^}]*)\})?(?=[\s\[)]|$)")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_LABELS: Final = frozenset({"envoy_cluster_name", "envoy_response_code_class"})
"""Labels that look like metrics where they are grouped by."""
_GRAFANA: Final = {"$__rate_interval": "60s", "$__range": "60s", "$instance": ".*"}


def panels() -> list[dict[str, Any]]:
    """All but the headings."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_targets() -> Iterator[tuple[str, str, str]]:
    """Title, legend and expression of each that asks Prometheus, Grafana's variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            if "expr" in target:
                yield panel["title"], target["legendFormat"], filled(target["expr"])


def panel_queries() -> Iterator[tuple[str, str]]:
    """Title and expression."""
    yield from ((title, expression) for title, _, expression in panel_targets())


def filled(expression: str) -> str:
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    return expression


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def every_expression() -> Iterator[tuple[str, str]]:
    """Of panels and rules, with the title or the alert."""
    yield from panel_queries()
    yield from ((rule["alert"], rule["expr"]) for rule in rules())


@dataclass(frozen=True)
class Selector:
    """`metric{label="value",…}` of an expression."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, operator and value."""


def selectors(expression: str) -> list[Selector]:
    """Of metrics that are ours, Envoy's or Prometheus' own."""
    return [
        Selector(name, tuple(_MATCHER.findall(matchers)))
        for name, matchers in _SELECTOR.findall(expression)
        if name not in _LABELS
    ]


def metrics(expression: str) -> set[str]:
    """Their names."""
    return {each.metric for each in selectors(expression)}
