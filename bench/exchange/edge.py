"""Envoy for a measurement, each with one worker: one before each side, and one that answers as both registries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from bench.exchange.request import DIGEST, MEDIA_TYPE
from extproc.bootstrap.document import plain
from extproc.settings import Settings
from tests.support import envoy

_EXT_PROC: Final = "envoy.filters.http.ext_proc"


@asynccontextmanager
async def registry(folder: Path) -> AsyncIterator[str]:
    """Its URL. It answers everything at once, and says of each manifest that it is DIGEST. `folder` is there."""
    answers = [
        {
            "match": {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "PUT"}}]},
            "direct_response": {"status": 201},
        },
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}},
    ]
    told = {"docker-content-digest": DIGEST, "content-type": MEDIA_TYPE}
    manager: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "registry",
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": answers}],
            "response_headers_to_add": [
                {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for key, value in told.items()
            ],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    document = {
        "admin": {"address": _anywhere()},
        "static_resources": {
            "listeners": [{"name": "registry", "address": _anywhere(), "filter_chains": [{"filters": filters}]}]
        },
    }
    async with envoy.running(yaml.safe_dump(document), folder, concurrency=1) as running:
        yield running.url


def _anywhere() -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


@asynccontextmanager
async def gateway(settings: Settings, folder: Path, *, processor: bool = True) -> AsyncIterator[envoy.Envoy]:
    """As the settings give it; without `processor` the filter that asks it is left out."""
    document = plain(settings)
    if not processor:
        _drop_filters(document)
    async with envoy.running(yaml.safe_dump(document, sort_keys=False), folder, concurrency=1) as running:
        yield running


def _drop_filters(value: Any) -> None:
    """Every filter of ext_proc, wherever it stands."""
    if isinstance(value, dict):
        if "http_filters" in value:
            value["http_filters"] = [each for each in value["http_filters"] if each["name"] != _EXT_PROC]
        for inner in value.values():
            _drop_filters(inner)
    elif isinstance(value, list):
        for inner in value:
            _drop_filters(inner)
