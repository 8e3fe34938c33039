"""Every extension that a form names, against the committed list of those that the proxy is built with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from extproc.mesh.form import Form
from tests.mesh.test_render import EXAMPLES, FOLDER

IMPLIED = {
    ("type", "STATIC"): "envoy.clusters.static",
    ("type", "STRICT_DNS"): "envoy.clusters.strict_dns",
    ("lb_policy", "LEAST_REQUEST"): "envoy.load_balancing_policies.least_request",
    ("lb_policy", "CLUSTER_PROVIDED"): "envoy.load_balancing_policies.cluster_provided",
}
"""Fields whose value stands for an extension without naming it."""
IMPLYING = {
    "http_health_check": "envoy.health_checkers.http",
    "grpc_health_check": "envoy.health_checkers.grpc",
    "internal_listener": "envoy.bootstrap.internal_listener",
    "envoy_internal_address": "envoy.io_socket.user_space",
}
"""Fields that stand for one by being there."""
TOLD = {
    "envoy.clusters.static": "envoy.cluster.static",
    "envoy.clusters.strict_dns": "envoy.cluster.strict_dns",
    "envoy.io_socket.user_space": "envoy_internal",
}
"""A proxy that runs tells other names of some than its build has."""


def named(value: Any) -> Iterator[str]:
    """The extensions of a configuration: those with a `typed_config` by their name, others by what implies them."""
    if isinstance(value, list):
        for each in value:
            yield from named(each)
    elif isinstance(value, dict):
        if "typed_config" in value or "typedConfig" in value:
            yield value["name"]
        for key, inner in value.items():
            if key in IMPLYING:
                yield IMPLYING[key]
            if isinstance(inner, str) and (key, inner) in IMPLIED:
                yield IMPLIED[key, inner]
            yield from named(inner)


def built_in(form: Form) -> list[str]:
    lines = (FOLDER / EXAMPLES[form]).parent.joinpath("extensions.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("form", EXAMPLES)
def test_the_proxy_has_every_extension_that_is_named(form: Form) -> None:
    documents = yaml.safe_load_all((FOLDER / f"{EXAMPLES[form]}.yaml").read_text())
    found = {name.partition("/")[0] for document in documents for name in named(document)}
    assert len(found) > 10
    known = set(built_in(form))
    assert {name for name in found if name not in known and TOLD.get(name) not in known} == set()


@pytest.mark.parametrize("form", EXAMPLES)
def test_the_list_is_sorted_and_has_each_once(form: Form) -> None:
    names = built_in(form)
    assert names == sorted(set(names))
