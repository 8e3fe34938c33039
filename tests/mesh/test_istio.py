"""The EnvoyFilter: what it says, patch by patch, and what of Istio's own it leaves alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from extproc.bootstrap import plain
from extproc.mesh.form import Form
from extproc.mesh.istio import envoy_filter
from extproc.mesh.parts import Parts
from extproc.settings import Mesh, Settings
from tests.mesh.test_parts import settings as some_settings
from tests.support.control_plane import istio
from tests.support.control_plane.merge import merge
from tests.support.control_plane.rendering import bootstrap


@pytest.fixture
def settings() -> Settings:
    return some_settings(mesh=Mesh(hostname="registry.example.com", certificate_secret="registry"))


def patches(context: Any, settings: Settings) -> list[dict[str, Any]]:
    made = envoy_filter(context, Parts.of(plain(settings), settings), settings)
    found: list[dict[str, Any]] = made["spec"]["configPatches"]
    return found


def test_every_patch_of_the_gateway_is_for_its_entry_alone(settings: Settings) -> None:
    for patch in patches("GATEWAY", settings):
        where = patch["match"]
        assert where["context"] == "GATEWAY"
        match patch["applyTo"]:
            case "CLUSTER":
                assert patch["patch"]["operation"] == "ADD"
            case "NETWORK_FILTER" | "HTTP_FILTER":
                assert where["listener"]["filterChain"]["sni"] == "registry.example.com"
            case "ROUTE_CONFIGURATION" | "VIRTUAL_HOST":
                assert where["routeConfiguration"] == {"portNumber": 443, "gateway": "registry/registry"}


def zeros(message: dict[str, Any]) -> Iterator[str]:
    """Fields that are zero, in the message and in those below it; what repeats is appended whole."""
    for key, value in message.items():
        if isinstance(value, dict):
            yield from zeros(value)
        elif not isinstance(value, list) and value in (0, "", False):
            yield key


@pytest.mark.parametrize("context", ["GATEWAY", "SIDECAR_INBOUND"])
def test_no_field_that_is_merged_is_zero(context: str, settings: Settings) -> None:
    merged = [each["patch"]["value"] for each in patches(context, settings) if each["patch"]["operation"] == "MERGE"]
    assert len(merged) >= 3
    assert [list(zeros(value)) for value in merged] == [[] for _ in merged]


def test_the_stand_in_refuses_to_merge_a_zero() -> None:
    with pytest.raises(ValueError, match="enabled is False"):
        merge({"enabled": True}, {"enabled": False})


def test_the_sidecars_routes_are_in_their_order_before_istios_own(settings: Settings) -> None:
    made = Parts.of(plain(settings), settings)
    proxy = istio.sidecar(settings)
    proxy.apply(envoy_filter("SIDECAR_INBOUND", made, settings))
    (chain,) = proxy.listeners[0]["filter_chains"]
    (virtual_host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    names = [route["name"] for route in virtual_host["routes"]]
    assert names == [*(route["name"] for route in made.virtual_host["routes"]), "default"]
    assert virtual_host["response_headers_to_remove"] == ["x-geo-site", "x-geo-reason"]


def test_the_gateways_filters_come_last_in_their_order(settings: Settings) -> None:
    plain_http = settings.model_copy(update={"mesh": Mesh(hostname="registry.example.com", port=8080)})
    proxy = istio.gateway(plain_http)
    proxy.apply(envoy_filter("GATEWAY", Parts.of(plain(plain_http), plain_http), plain_http))
    (chain,) = proxy.listeners[0]["filter_chains"]
    names = [each["name"] for each in chain["filters"][0]["typed_config"]["http_filters"]]
    ours = ["envoy.filters.http.lua", "envoy.filters.http.ext_proc", "envoy.filters.http.router"]
    assert names[-3:] == ours


def test_other_hosts_of_the_gateway_are_answered_as_before(settings: Settings) -> None:
    filter_ = envoy_filter("GATEWAY", Parts.of(plain(settings), settings), settings)
    made = bootstrap(Form.ISTIO_GATEWAY, [filter_], settings, transport_socket={})
    routes = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    others, ours = routes["route_config"]["virtual_hosts"]
    assert others["domains"] == ["*"]
    assert ours["domains"] == ["registry.example.com", "registry.example.com:*"]


def test_what_the_proxy_lacks_is_left_out(settings: Settings) -> None:
    said = str(patches("GATEWAY", settings))
    assert "access_loggers.stdout" in said
    assert "access_loggers.stats" not in said


def test_without_an_access_log_nothing_is_said_of_it(settings: Settings) -> None:
    silent = settings.model_copy(update={"envoy": settings.envoy.model_copy(update={"access_log": ""})})
    (patch,) = [each for each in patches("GATEWAY", silent) if each["applyTo"] == "NETWORK_FILTER"]
    assert "access_log" not in patch["patch"]["value"]["typed_config"]


def test_a_patch_that_matches_nothing_is_noticed(settings: Settings) -> None:
    made = envoy_filter("GATEWAY", Parts.of(plain(settings), settings), settings)
    elsewhere = settings.model_copy(update={"mesh": Mesh(hostname="registry.example.com", port=8443)})
    with pytest.raises(ValueError, match="matches nothing: LISTENER"):
        istio.gateway(elsewhere).apply(made)


def test_each_cluster_once(settings: Settings) -> None:
    counted = Counter(
        patch["patch"]["value"]["name"] for patch in patches("GATEWAY", settings) if patch["applyTo"] == "CLUSTER"
    )
    assert set(counted.values()) == {1}
    assert {"primary", "secondary_first", "stale", "geo_extproc", "geo_admin"} <= counted.keys()
