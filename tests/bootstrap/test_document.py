"""The document as a whole: what is committed, that Envoy takes every form of it, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.bootstrap import build, render
from extproc.settings import Auth, Endpoint, Envoy, Server, Settings, Site, Sites
from tests.bootstrap import certificates
from tests.support.envoy import validate

FOLDER = Path(__file__).parents[2] / "envoy"


@pytest.fixture
def example() -> Settings:
    return Settings.load(FOLDER / "example.toml")


@pytest.fixture(params=["composite", "priorities"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    settings = Settings(
        auth=Auth(mode="passthrough"),
        sites=Sites(
            primary=Site(url="https://registry.primary.example.com"), secondary=Site(url="http://10.0.0.1:5000")
        ),
        envoy=Envoy(fallback=request.param),
    )
    loaded: dict[str, Any] = yaml.safe_load(render(settings))
    return loaded


def test_the_committed_rendering_is_that_of_the_example(example: Settings) -> None:
    assert (FOLDER / "bootstrap.yaml").read_text() == render(example)


def test_the_folder_has_no_python() -> None:
    assert not list(FOLDER.rglob("*.py"))


def test_rendering_is_stable_and_says_that_it_is_generated(example: Settings) -> None:
    assert render(example) == render(example)
    assert render(example).startswith("# Generated")


def test_build_gives_the_typed_message(example: Settings) -> None:
    resources = build(example).static_resources
    assert resources is not None
    assert [cluster.name for cluster in resources.clusters] == [
        "primary",
        "secondary",
        "secondary_first",
        "primary_if_well",
        "stale",
        "primary_after_all",
        "primary_then_secondary",
        "local",
        "geo_extproc",
        "geo_admin",
    ]


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize("tcp", [True, False], ids=["tcp-workers", "socket-workers"])
@pytest.mark.parametrize("issuer", [True, False], ids=["issuer", "no-issuer"])
def test_envoy_takes_it_without_a_warning(tmp_path: Path, fallback: Any, tls: bool, tcp: bool, issuer: bool) -> None:
    certificate, key = certificates.write(tmp_path, "registry.example.com")
    scheme = "https" if tls else "http"
    settings = Settings(
        auth=Auth(mode="passthrough"),
        server=Server(
            workers=3,
            socket_dir=tmp_path,
            address=Endpoint(host="127.0.0.1", port=50051) if tcp else None,
        ),
        store={"url": "redis://127.0.0.1"},  # type: ignore[arg-type]
        sites=Sites(
            primary=Site(
                url=f"{scheme}://registry.primary.example.com",
                host="registry.primary.example.com" if tcp else "",
                ca=certificate if tls else None,
            ),
            secondary=Site(url=f"{scheme}://[::1]:5000", ca=certificate if tls else None),
            issuer=Site(url="http://gitlab.example.com", host="gitlab.example.com") if issuer else None,
        ),
        envoy=Envoy(
            fallback=fallback,
            certificate=certificate if tls else None,
            private_key=key if tls else None,
            access_log=str(tmp_path / "access.log") if tls else "",
            response_headers=tcp,
        ),
    )
    assert validate(render(settings), tmp_path) == ""


def _named(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(cluster for cluster in document["static_resources"]["clusters"] if cluster["name"] == name)


def _manager(document: dict[str, Any]) -> dict[str, Any]:
    chain = document["static_resources"]["listeners"][0]["filter_chains"][0]
    manager: dict[str, Any] = chain["filters"][0]["typed_config"]
    return manager


def _routes(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _manager(document)["route_config"]["virtual_hosts"][0]["routes"]


def test_no_route_but_the_reads_is_tried_twice(document: dict[str, Any]) -> None:
    tried_twice = {route["name"] for route in _routes(document) if "retry_policy" in route.get("route", {})}
    assert tried_twice == {
        "promoted-read",
        "local-read",
        "secondary-first",
        "primary-then-secondary",
        "primary-read",
    }
    for route in _routes(document):
        if route["name"] in tried_twice:
            # One for each cluster after the first.
            more = 2 if route["name"] == "primary-then-secondary" else 1
            assert route["route"]["retry_policy"]["num_retries"] == more


def test_no_route_has_a_timeout_and_changes_have_an_end(document: dict[str, Any]) -> None:
    forwarding = [route for route in _routes(document) if "route" in route]
    assert {route["route"]["timeout"] for route in forwarding} == {"0s"}
    bounded = {route["name"] for route in forwarding if "max_stream_duration" in route["route"]}
    assert bounded == {"write", "unseen-write"}


def test_retries_are_not_what_runs_out(document: dict[str, Any]) -> None:
    for name in (
        "primary",
        "secondary_first",
        "primary_if_well",
        "primary_after_all",
        "primary_then_secondary",
        "stale",
        "local",
    ):
        assert _named(document, name)["circuit_breakers"]["thresholds"][0]["max_retries"] > 4096


def test_the_processor_may_be_away(document: dict[str, Any]) -> None:
    (filter_,) = (
        each["typed_config"]
        for each in _manager(document)["http_filters"]
        if each["name"] == "envoy.filters.http.ext_proc"
    )
    assert filter_["failure_mode_allow"]
    assert filter_["allow_mode_override"]
    assert filter_["processing_mode"]["response_header_mode"] == "SKIP"
    forwarded = {pattern["exact"] for pattern in filter_["forward_rules"]["allowed_headers"]["patterns"]}
    assert "cookie" not in forwarded
    assert {":method", ":path", "authorization", "accept", ":status", "docker-content-digest"} <= forwarded


def test_the_log_has_no_query_and_no_token(document: dict[str, Any]) -> None:
    logs = _manager(document)["access_log"]
    assert [log["name"] for log in logs] == ["envoy.access_loggers.stdout", "envoy.access_loggers.stats"]
    said = str(logs).lower()
    assert "authorization" not in said
    assert "req(:path)" not in said


def test_an_ejected_primary_is_still_tried(document: dict[str, Any]) -> None:
    primary = _named(document, "primary")
    assert primary["common_lb_config"]["healthy_panic_threshold"]["value"] > 50
    assert primary["outlier_detection"]["max_ejection_percent"] == 50
    first = _named(document, "secondary_first")
    if "load_assignment" in first:
        _, primary = first["load_assignment"]["endpoints"]
        assert primary["priority"] == 1
        assert primary["lb_endpoints"][0]["endpoint"]["health_check_config"]["disable_active_health_check"]
        assert "outlier_detection" not in first
