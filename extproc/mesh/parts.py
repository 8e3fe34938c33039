"""The bootstrap taken apart, as far as a mesh lets its proxy be told.

What a mesh does itself stays with it: node, admin interface, tracing, TLS of the listener and its limit of
connections. The runtime has no values of ours there: the role as it is rendered becomes the default at the routes
that read it. What `serve` says at the admin interface still has the last word.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from extproc.mesh.error import FormError
from extproc.settings import Settings

Document = dict[str, Any]
_KEPT_BY_THE_MESH: Final = frozenset({"@type", "stat_prefix", "route_config", "http_filters", "tracing"})
"""Fields of the connection manager that stay as the mesh made them, or have a patch of their own."""
_OF_THE_BOOTSTRAP_ALONE: Final = frozenset({"envoy_admin", "otlp_collector"})
"""Clusters behind `envoy.status` and for spans: meshes have their own ways to probe, to count and to trace."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Each may be changed: none is shared with another, nor with the document it comes from."""

    clusters: list[Document]
    route_configuration: Document
    """Without its name and its virtual host."""
    virtual_host: Document
    """Without its name and its domains."""
    http_filters: list[Document]
    """In their order, the router apart."""
    manager: Document
    """What the connection manager of the entry is told besides: limits, paths, headers, logs, local replies."""
    buffer: int
    """Bytes for one connection, each direction."""
    internal_listener: Document
    """`stale`, before the secondary where it answers for the primary."""
    bootstrap_extensions: list[Document]
    """What makes an internal listener one."""

    @classmethod
    def of(cls, bootstrap: Document, settings: Settings) -> Parts:
        """Raises FormError where the settings ask for what meshes do not have."""
        if settings.envoy.fallback != "priorities":
            raise FormError(
                f"envoy.fallback is {settings.envoy.fallback!r}, for which the proxies of meshes are not built: set "
                'envoy.fallback = "priorities"'
            )
        resources = copy.deepcopy(bootstrap["static_resources"])
        entry, *others = resources["listeners"]
        manager = entry["filter_chains"][0]["filters"][0]["typed_config"]
        routes = manager["route_config"]
        (virtual_host,) = routes["virtual_hosts"]
        if settings.sites.promoted:
            for fraction in _runtime_fractions(virtual_host):
                fraction["default_value"] = {"numerator": 100}
        (stale,) = (each for each in others if "internal_listener" in each)
        return cls(
            clusters=[each for each in resources["clusters"] if each["name"] not in _OF_THE_BOOTSTRAP_ALONE],
            route_configuration={key: each for key, each in routes.items() if key not in {"name", "virtual_hosts"}},
            virtual_host={key: value for key, value in virtual_host.items() if key not in {"name", "domains"}},
            http_filters=manager["http_filters"][:-1],
            manager={key: value for key, value in manager.items() if key not in _KEPT_BY_THE_MESH},
            buffer=entry["per_connection_buffer_limit_bytes"],
            internal_listener=stale,
            bootstrap_extensions=copy.deepcopy(bootstrap["bootstrap_extensions"]),
        )


def hostname(settings: Settings) -> str:
    """Raises FormError without one."""
    if not settings.mesh.hostname:
        raise FormError(
            "mesh.hostname is empty, and a gateway knows its requests by their host: set it to the unified name"
        )
    return settings.mesh.hostname


def _runtime_fractions(virtual_host: Document) -> Iterator[Document]:
    for route in virtual_host["routes"]:
        if fraction := route["match"].get("runtime_fraction"):
            yield fraction
