"""The documents for Envoy Gateway: what its API says by itself, and what the patches make of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from extproc.bootstrap import plain
from extproc.mesh.envoy_gateway import documents, filter_name
from extproc.mesh.error import FormError
from extproc.mesh.parts import Parts
from extproc.settings import Mesh, Server, Settings, Site, Sites
from tests.mesh.test_parts import settings as some_settings
from tests.support.control_plane import envoy_gateway

SCHEMA = Path(__file__).parents[1] / "helm" / "schemas" / "HTTPRoute.json"
MESH = Mesh(hostname="registry.example.com", certificate_secret="registry")
NAME = "registry/registry/https"


@pytest.fixture
def settings() -> Settings:
    return some_settings(mesh=MESH, server=Server(workers=3), store={"url": "redis://redis"})


def made(settings: Settings) -> dict[str, dict[str, Any]]:
    """By kind, the Backends by their name."""
    found = documents(Parts.of(plain(settings), settings), settings)
    return {each["metadata"]["name"] if each["kind"] == "Backend" else each["kind"]: each for each in found}


def patched(settings: Settings, apart: Settings | None = None) -> envoy_gateway.Proxy:
    """`apart`: settings whose policy is applied in place of the right one."""
    proxy = envoy_gateway.proxy(made(settings).values())
    proxy.apply(made(apart or settings)["EnvoyPatchPolicy"])
    return proxy


def test_without_the_patches_the_primary_gets_everything(settings: Settings) -> None:
    found = made(settings)
    (rule,) = found["HTTPRoute"]["spec"]["rules"]
    assert [reference["name"] for reference in rule["backendRefs"]] == ["registry-primary"]
    place = {"fqdn": {"hostname": "primary.example.com", "port": 443}}
    assert found["registry-primary"]["spec"]["endpoints"] == [place]
    assert found["registry-primary"]["spec"]["tls"] == {"wellKnownCACertificates": "System"}


def test_a_primary_by_its_address(settings: Settings) -> None:
    sites = Sites(primary=Site(url="http://10.0.0.9:5000"), secondary=Site(url="http://10.0.0.1:5000"))
    spec = made(settings.model_copy(update={"sites": sites}))["registry-primary"]["spec"]
    assert spec == {"endpoints": [{"ip": {"address": "10.0.0.9", "port": 5000}}]}


def test_the_route_is_as_its_definition_wants_it(settings: Settings) -> None:
    jsonschema.validate(made(settings)["HTTPRoute"], json.loads(SCHEMA.read_text()))


def test_every_worker_has_its_socket(settings: Settings) -> None:
    endpoints = made(settings)["registry-processor"]["spec"]["endpoints"]
    assert endpoints == [{"unix": {"path": f"/run/geo-extproc/worker-{number}.sock"}} for number in range(3)]


def test_each_patch_is_of_a_resource_of_ours_or_of_this_gateway(settings: Settings) -> None:
    patches = made(settings)["EnvoyPatchPolicy"]["spec"]["jsonPatches"]
    added = [patch["name"] for patch in patches if patch["operation"]["path"] == ""]
    assert {"primary", "secondary_first", "stale", "geo_extproc"} <= set(added)
    assert {patch["name"] for patch in patches if patch["operation"]["path"]} == {NAME}


def test_the_processor_is_switched_on_for_our_routes_and_calls_our_cluster(settings: Settings) -> None:
    proxy = patched(settings)
    (host,) = proxy.routes[NAME]["virtual_hosts"]
    assert host["typed_per_filter_config"] == {
        filter_name(MESH): {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    }
    (chain,) = proxy.listeners[NAME]["filter_chains"]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    assert [each["name"] for each in filters] == [
        "envoy.filters.http.lua",
        filter_name(MESH),
        "envoy.filters.http.router",
    ]
    processor = filters[1]["typed_config"]
    assert processor["grpc_service"]["envoy_grpc"] == {"cluster_name": "geo_extproc"}
    assert "forward_rules" in processor
    assert "response_attributes" in processor


def test_our_routes_take_the_place_of_those_of_the_gateway(settings: Settings) -> None:
    expected = Parts.of(plain(settings), settings).virtual_host
    (host,) = patched(settings).routes[NAME]["virtual_hosts"]
    assert host["routes"] == expected["routes"]
    assert host["response_headers_to_remove"] == ["x-geo-site", "x-geo-reason"]
    assert host["domains"] == ["registry.example.com"]


def test_tokens_pass_the_processor_by(settings: Settings) -> None:
    issuer = settings.sites.model_copy(update={"issuer": Site(url="http://10.0.0.3")})
    (host,) = patched(settings.model_copy(update={"sites": issuer})).routes[NAME]["virtual_hosts"]
    (route,) = [route for route in host["routes"] if route["name"] == "issuer"]
    assert list(route["typed_per_filter_config"]) == [filter_name(MESH)]
    assert route["typed_per_filter_config"][filter_name(MESH)]["disabled"] is True


def test_the_bootstrap_gets_what_the_internal_listener_and_the_role_need(settings: Settings) -> None:
    document = envoy_gateway.bootstrap(patched(settings), admin=("127.0.0.1", 19000))
    assert [each["name"] for each in document["bootstrap_extensions"]] == ["envoy.bootstrap.internal_listener"]
    static, admin = document["layered_runtime"]["layers"]
    assert "static_layer" in static
    assert admin == {"name": "admin", "admin_layer": {}}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "other"}, id="of another gateway"),
        pytest.param({"namespace": "other"}, id="of another namespace"),
        pytest.param({"certificate_secret": ""}, id="of another listener"),
    ],
)
def test_a_patch_that_finds_nothing_is_noticed(settings: Settings, change: dict[str, str]) -> None:
    elsewhere = settings.model_copy(update={"mesh": MESH.model_copy(update=change)})
    with pytest.raises(ValueError, match="unable to find xds resource"):
        patched(settings, elsewhere)


def test_what_is_rendered_is_not_changed_by_its_use(settings: Settings) -> None:
    found = made(settings)
    before = copy.deepcopy(found)
    envoy_gateway.proxy(found.values()).apply(found["EnvoyPatchPolicy"])
    assert found == before


def test_it_needs_the_unified_name(settings: Settings) -> None:
    with pytest.raises(FormError, match=r"mesh\.hostname is empty"):
        made(settings.model_copy(update={"mesh": Mesh()}))
