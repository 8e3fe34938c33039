"""What panels and rules select by: labels and values that there are. What is misspelt selects nothing."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from extproc.notification.event import Action, Site
from extproc.notification.ingest import Outcome
from extproc.oci.operation import Kind
from extproc.routing.decision import Route
from extproc.routing.reason import Reason
from tests.dashboards.files import ROOT, Selector, every_expression, selectors
from tests.dashboards.test_dashboard import bare

OF_PROMETHEUS = {"instance", "job", "le", "worker"}
ENUMS: dict[str, tuple[type[Enum], ...]] = {
    "geo_reason": (Reason,),
    "geo_route": (Route,),
    "geo_operation": (Kind,),
    "geo_site": (Site,),
    "geo_action": (Action,),
    "geo_outcome": (Outcome,),
}
WORDS = {"geo_route": {"refused"}, "geo_outcome": {"hit", "miss", "unavailable", "good", "failed"}}
"""Those that no enumeration has."""
BOOLEANS = {"geo_store_available", "geo_worker_clean"}


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """Labels of each metric of ours, and the words of their cell, as docs/operations.md has them."""
    found = {}
    for line in (ROOT / "docs" / "operations.md").read_text().splitlines():
        if not line.startswith("| `geo_extproc."):
            continue
        names, _, attributes = (cell.strip() for cell in line.strip("|").split(" | ", 2))
        labels = {name.replace(".", "_") for name in re.findall(r"`([a-z_.]+)`", attributes)}
        words = set(re.findall(r"[\w-]+", attributes))
        for name in re.findall(r"`([\w.]+)`", names):
            found[name.replace(".", "_")] = labels, words
    return found


DOCUMENTED = documented()
OURS = [
    pytest.param(each, id=f"{title}-{number}")
    for title, expression in every_expression()
    for number, each in enumerate(selectors(expression))
    if each.metric.startswith("geo_extproc_")
]


def values(value: str) -> list[str]:
    """Each alternative of a matcher."""
    return value.split("|")


@pytest.mark.parametrize("selector", OURS)
def test_ours_are_as_documented(selector: Selector) -> None:
    labels, words = DOCUMENTED[bare(selector.metric)]
    for label, operator, value in selector.matchers:
        assert label in labels | OF_PROMETHEUS, f"{selector.metric} has no label {label}"
        if label in OF_PROMETHEUS or value == "":
            continue
        known = {member.value for enum in ENUMS.get(label, ()) for member in enum} | WORDS.get(label, set())
        known |= {"true", "false"} if label in BOOLEANS else words
        for each in values(value):
            pattern = each if operator in {"=~", "!~"} else re.escape(each)
            assert any(re.fullmatch(pattern, word) for word in known), f"{label} is never {each}"


def test_every_group_is_by_a_label_of_what_it_adds_up() -> None:
    for title, expression in every_expression():
        ours = [each.metric for each in selectors(expression) if each.metric.startswith("geo_extproc_")]
        if not ours:
            continue
        known = set().union(*(DOCUMENTED[bare(metric)][0] for metric in ours)) | OF_PROMETHEUS
        for labels in re.findall(r"\bby \(([^)]*)\)", expression):
            # What is of Envoy in the same expression is grouped by what both have.
            assert {label.strip() for label in labels.split(",")} <= known, title
