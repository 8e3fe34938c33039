"""Istio: an EnvoyFilter that tells a gateway's, or a sidecar's, Envoy what the bootstrap would.

The rules

1. Each patch says which context it is for, and which entry: the gateway's by its host (SNI) or port, the sidecar's by
   the registry's port. Nothing else that the same proxy serves is changed.
2. At a gateway the virtual host is added whole. So no VirtualService may name that host: Envoy takes a name once.
3. At a sidecar Istio has made the one virtual host that there is. Ours are put before its routes, the last first, for
   each goes to the head of the list; Istio's own is then never reached, for the last of ours takes everything.
4. Istio merges as protobuf does: what repeats is appended, a duration is replaced, and a scalar that is zero changes
   nothing. So nothing here says `false` or 0 to what Istio may have set.
5. The internal listener needs no bootstrap of ours: Istio's has the extension that makes it one, for its tunnels.

Sources: Istio's reference of EnvoyFilter; pilot/pkg/networking/core/envoyfilter and pkg/proto/merge for what is
matched and how it is merged; tools/packaging/common/envoy_bootstrap.json for rule 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from extproc.mesh import absent
from extproc.mesh.parts import Document, Parts, hostname
from extproc.settings import Mesh, Settings

API: Final = "networking.istio.io/v1alpha3"
MANAGER: Final = "envoy.filters.network.http_connection_manager"
ROUTER: Final = "envoy.filters.http.router"
VIRTUAL_INBOUND: Final = "virtualInbound"
"""Where all inbound connections of a sidecar come in; the port is one of its filter chains'."""

Context = Literal["GATEWAY", "SIDECAR_INBOUND"]


def envoy_filter(context: Context, parts: Parts, settings: Settings) -> Document:
    """Raises FormError."""
    mesh = settings.mesh
    return {
        "apiVersion": API,
        "kind": "EnvoyFilter",
        "metadata": {"name": mesh.name, "namespace": mesh.namespace},
        "spec": {
            "workloadSelector": {"labels": mesh.labels},
            "configPatches": list(_patches(context, parts, settings)),
        },
    }


def _patches(context: Context, parts: Parts, settings: Settings) -> Iterator[Document]:
    mesh = settings.mesh
    chain = _chain(context, settings)
    for cluster in parts.clusters:
        yield _patch("CLUSTER", context, None, "ADD", cluster)
    yield _patch("LISTENER", context, None, "ADD", parts.internal_listener)
    entry: Document = {"name": VIRTUAL_INBOUND} if context == "SIDECAR_INBOUND" else {"portNumber": mesh.port}
    yield _patch(
        "LISTENER", context, {"listener": entry}, "MERGE", {"per_connection_buffer_limit_bytes": parts.buffer}
    )
    manager = {"@type": _TYPE + MANAGER_TYPE} | absent.without(parts.manager, absent.ISTIO)
    yield _patch(
        "NETWORK_FILTER",
        context,
        {"listener": chain | {"filterChain": chain["filterChain"] | {"filter": {"name": MANAGER}}}},
        "MERGE",
        {"name": MANAGER, "typed_config": manager},
    )
    router = {"name": MANAGER, "subFilter": {"name": ROUTER}}
    for http_filter in parts.http_filters:
        yield _patch(
            "HTTP_FILTER",
            context,
            {"listener": chain | {"filterChain": chain["filterChain"] | {"filter": router}}},
            "INSERT_BEFORE",
            http_filter,
        )
    routes = {"routeConfiguration": _route_configuration(context, mesh)}
    yield _patch("ROUTE_CONFIGURATION", context, routes, "MERGE", parts.route_configuration)
    if context == "GATEWAY":
        host = hostname(settings)
        names = {"name": f"{mesh.name}:{mesh.port}", "domains": [host, f"{host}:*"]}
        yield _patch("VIRTUAL_HOST", context, routes, "ADD", names | parts.virtual_host)
        return
    others = {key: value for key, value in parts.virtual_host.items() if key != "routes"}
    yield _patch("VIRTUAL_HOST", context, routes, "MERGE", others)
    for route in reversed(parts.virtual_host["routes"]):
        yield _patch("HTTP_ROUTE", context, routes, "INSERT_FIRST", route)


_TYPE: Final = "type.googleapis.com/"
MANAGER_TYPE: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def _chain(context: Context, settings: Settings) -> Document:
    """The entry's filter chain. A listener's port is the pod's, so a gateway's Service must not change it."""
    mesh = settings.mesh
    if context == "GATEWAY" and mesh.certificate_secret:
        return {"portNumber": mesh.port, "filterChain": {"sni": hostname(settings)}}
    return {"portNumber": mesh.port, "filterChain": {}}


def _route_configuration(context: Context, mesh: Mesh) -> Document:
    """Of plain HTTP the name is the port's alone; with TLS the gateway's is part of it."""
    if context == "GATEWAY" and mesh.certificate_secret:
        return {"portNumber": mesh.port, "gateway": f"{mesh.namespace}/{mesh.name}"}
    return {"portNumber": mesh.port}


def _patch(applies_to: str, context: Context, which: Document | None, operation: str, value: Document) -> Document:
    return {
        "applyTo": applies_to,
        "match": {"context": context, **(which or {})},
        "patch": {"operation": operation, "value": value},
    }
