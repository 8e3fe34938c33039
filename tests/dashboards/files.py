"""The dashboard and the rules, read for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DASHBOARD: Final = ROOT / "envoy" / "dashboard.json"
ALERTS: Final = ROOT / "envoy" / "alerts.yaml"
RUNBOOK: Final = ROOT / "docs" / "alerts.md"
_METRIC: Final = re.compile(r"\b(geo_extproc_\w+|envoy_\w+)\b(?=[\s{\[)])")
_GRAFANA: Final = {"$__rate_interval": "60s", "$__range": "60s", "$instance": ".*"}


def panels() -> list[dict[str, Any]]:
    """All but the headings."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Title and expression of each that asks Prometheus, Grafana's variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            if "expr" in target:
                yield panel["title"], filled(target["expr"])


def filled(expression: str) -> str:
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    return expression


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def metrics(expression: str) -> set[str]:
    """Those that are ours or Envoy's."""
    return {name for name in _METRIC.findall(expression) if not name.startswith("envoy_cluster_name")}
