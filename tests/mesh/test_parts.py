"""The bootstrap taken apart: nothing is lost, and what a mesh cannot be told is refused or put elsewhere."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from extproc.bootstrap import plain
from extproc.mesh.error import FormError
from extproc.mesh.parts import Parts, hostname
from extproc.settings import Auth, Endpoint, Envoy, Mesh, Settings, Site, Sites


def settings(**changes: Any) -> Settings:
    fields: dict[str, Any] = {
        "auth": Auth(mode="passthrough"),
        "sites": Sites(primary=Site(url="https://primary.example.com"), secondary=Site(url="http://10.0.0.1:5000")),
        "envoy": Envoy(fallback="priorities"),
    }
    return Settings(**fields | changes)


def test_the_composite_cluster_is_refused() -> None:
    composite = settings(envoy=Envoy())
    with pytest.raises(FormError, match=r"envoy\.fallback is 'composite'.*set envoy\.fallback = \"priorities\""):
        Parts.of(plain(composite), composite)


def test_a_gateway_needs_a_host() -> None:
    with pytest.raises(FormError, match=r"mesh\.hostname is empty"):
        hostname(settings())
    assert hostname(settings(mesh=Mesh(hostname="registry.example.com"))) == "registry.example.com"


def test_every_part_of_the_entry_is_there() -> None:
    bootstrap = plain(settings())
    before = copy.deepcopy(bootstrap)
    parts = Parts.of(bootstrap, settings())
    resources = bootstrap["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]
    assert parts.clusters == resources["clusters"]
    assert [*parts.http_filters, manager["http_filters"][-1]] == manager["http_filters"]
    assert manager["http_filters"][-1]["name"] == "envoy.filters.http.router"
    assert parts.virtual_host["routes"] == routes["virtual_hosts"][0]["routes"]
    assert parts.internal_listener == resources["listeners"][1]
    own = {"@type", "stat_prefix", "route_config", "http_filters"}
    assert parts.manager == {key: value for key, value in manager.items() if key not in own}
    parts.clusters.clear()
    parts.manager.clear()
    assert bootstrap == before


def test_the_listener_for_probes_stays_with_the_bootstrap() -> None:
    with_status = settings(
        envoy=Envoy(fallback="priorities", status=Endpoint(host="0.0.0.0", port=9902))  # noqa: S104
    )
    parts = Parts.of(plain(with_status), with_status)
    assert "envoy_admin" not in {cluster["name"] for cluster in parts.clusters}
    assert parts.internal_listener["name"] == "stale"


@pytest.mark.parametrize(("role", "percent"), [("primary", {"numerator": 100}), ("secondary", {})])
def test_the_role_is_the_default_of_the_routes_that_read_it(role: Any, percent: dict[str, int]) -> None:
    given = settings()
    given = given.model_copy(update={"sites": given.sites.model_copy(update={"role": role})})
    routes = Parts.of(plain(given), given).virtual_host["routes"]
    defaults = [route["match"]["runtime_fraction"]["default_value"] for route in routes[:2]]
    assert defaults == [percent, percent]
