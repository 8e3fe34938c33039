"""The processor's configuration: what is written can be read, and overrides reach it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from extproc.sandbox.edge import DRAIN, Overrides, build_edge, edge_status, merged, render, toml
from extproc.sandbox.error import SandboxError
from extproc.sandbox.site import build_sites
from extproc.sandbox.workspace import Workspace
from extproc.settings import Settings


def test_toml_is_read_back_as_it_was() -> None:
    document: dict[str, Any] = {
        "name": 'a "quoted" \\ name with ü and \n',
        "numbers": {"one": 1, "half": 0.5, "yes": True, "list": ["a", "b"]},
        "sites": {"primary": {"url": "http://x:1"}, "empty": {}},
    }
    read = tomllib.loads(toml(document))
    assert read == {**document, "sites": {"primary": {"url": "http://x:1"}}}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param({}, {"a": {"b": 1, "c": {"d": 2}}}, id="none"),
        pytest.param({"a": {"c": {"d": 3}}}, {"a": {"b": 1, "c": {"d": 3}}}, id="deep"),
        pytest.param({"a": {"b": None}}, {"a": {"c": {"d": 2}}}, id="removed"),
        pytest.param({"x": {"y": 1}}, {"a": {"b": 1, "c": {"d": 2}}, "x": {"y": 1}}, id="new table"),
    ],
)
def test_merged(overrides: Overrides, expected: Overrides) -> None:
    assert merged({"a": {"b": 1, "c": {"d": 2}}}, overrides) == expected


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("state", ["redis", "memory"])
async def test_the_processor_reads_the_file(workspace: Workspace, tls: bool, state: str) -> None:
    sites = build_sites(workspace, state=state, tls=tls, wan_rtt=80)
    workers = 2 if state == "redis" else 1
    overrides = {"policy": {"max_staleness": 0}, "envoy": {"per_try_timeout": 0.5}}
    edge = build_edge(workspace, sites, workers=workers, overrides=overrides)
    settings = Settings.load(edge.config_file)
    assert settings.server.workers == workers
    assert settings.server.drain == DRAIN
    assert settings.policy.max_staleness == 0
    assert settings.envoy.per_try_timeout == 0.5
    assert settings.sites.primary.url == sites.primary_wan_url != sites.primary.url
    assert settings.sites.secondary.url == sites.secondary.url
    assert settings.sites.issuer is not None
    assert settings.sites.issuer.tls is tls
    assert settings.store.url == (sites.redis_url or "memory://")
    assert settings.auth.realm == sites.auth_url
    assert (settings.envoy.certificate is not None) is tls
    assert list(edge.parts) == ["extproc", "envoy"]


async def test_what_the_processor_refuses_is_one_sentence(workspace: Workspace) -> None:
    edge = build_edge(workspace, build_sites(workspace), overrides={"policy": {"max_staleness": "soon"}})
    with pytest.raises(SandboxError, match=r"envoy-config stopped with code 2: .*'soon'"):
        await render(edge, workspace.environment)


def test_without_tokens_the_unified_url_answers_at_once(tmp_path: Path) -> None:
    assert edge_status({"auth": {"realm": "x"}}) == 401
    assert edge_status({"auth": {"mode": "passthrough"}}) == 200
