"""Which values the chart takes: what is refused, and that schema, defaults and docs know the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from typing import Any, Final

import pytest
import yaml

from tests.helm.chart import CHART, ROOT, outcome
from tests.helm.values import least


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({}, "url", id="no registry"),
        pytest.param(least(settings={"sites": {"primary": {"url": "registry.example.com"}}}), "url", id="no scheme"),
        pytest.param(least(settings={"policy": {"max_stalenes": 60}}), "max_stalenes", id="a typo in a setting"),
        pytest.param(least(settings={"policy": {"max_staleness": "1m"}}), "max_staleness", id="a text for a number"),
        pytest.param(least(settings={"polcy": {}}), "polcy", id="a table that is none"),
        pytest.param(least(settings={"rollout": {"mode": "off"}}), "mode", id="no such mode"),
        pytest.param(least(settings={"rollout": {"percentage": 101}}), "percentage", id="more than all"),
        pytest.param(least(settings={"envoy": {"listen": "0.0.0.0:1"}}), "listen", id="what the chart knows itself"),
        pytest.param(least(settings={"server": {"workers": 2}}), "workers", id="workers in two places"),
        pytest.param(least(replicas=3), "replicas", id="a value that is none"),
        pytest.param(least(replicaCount="2"), "replicaCount", id="a text for a count"),
        pytest.param(least(processor={"workers": 0}), "workers", id="no worker"),
        pytest.param(least(envoy={"drain": {"least": -1}}), "least", id="a time before now"),
        pytest.param(least(image={"digest": "sha256:1"}), "digest", id="a digest that is none"),
        pytest.param(least(redis={"existingSecret": "Geo_Redis"}), "existingSecret", id="no name of a Secret"),
        pytest.param(least(keys={"files": ["../issuer.pem"]}), "files", id="a file elsewhere"),
        pytest.param(least(service={"type": "ExternalName"}), "type", id="no such type"),
        pytest.param(least(serviceMonitor={"interval": "often"}), "interval", id="no duration"),
        pytest.param(least(ingress={"enabled": True}), "host", id="an Ingress without a host"),
        pytest.param(least(httpRoute={"enabled": True}), "parentRefs", id="a route of no Gateway"),
        pytest.param(least(redis={"existingSecret": ""}), "redis.existingSecret", id="pods that share nothing"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], named: str) -> None:
    refused = outcome(values)
    assert named in refused.refusal
    assert refused.texts == {}


def test_the_values_schema_has_the_settings_as_the_model_has_them() -> None:
    done = subprocess.run([sys.executable, "docs/generate-schema", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run docs/generate-schema"


def keys(value: Any, path: str = "") -> set[str]:
    """Of tables, with those below them, as `a.b`."""
    if not isinstance(value, dict):
        return set()
    return {f"{path}{key}" for key in value} | {each for key in value for each in keys(value[key], f"{path}{key}.")}


def allowed(schema: dict[str, Any], path: str = "") -> set[str]:
    """What of it has a name in a schema."""
    properties = schema.get("properties", {})
    below = (allowed(each, f"{path}{key}.") for key, each in properties.items())
    return {f"{path}{key}" for key in properties}.union(*below)


FREE: Final = ("settings.", "global", "envoy.resources.", "processor.resources.", "dashboard.labels.")
"""Kubernetes' own, or those of the settings' model."""


def test_every_value_is_in_the_schema_and_the_other_way_round() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = {each for each in allowed(schema) if not each.startswith(FREE)}
    written = {
        each for each in keys(yaml.safe_load((CHART / "values.yaml").read_text())) if not each.startswith(FREE)
    }
    assert written == known


def test_every_value_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    missing = [value for value in yaml.safe_load((CHART / "values.yaml").read_text()) if f"`{value}" not in page]
    assert missing == []


def test_the_values_of_the_docs_are_taken() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    found = outcome(yaml.safe_load(textwrap.dedent(block)))
    assert (found.refusal, found.findings) == ("", [])
    assert found.one("Ingress")["spec"]["rules"][0]["host"] == "registry.example.com"
