"""Envoy Gateway: the kinds of its API and of the Gateway API, and JSON patches for what these do not say.

The rules

1. What the API can say it says: the entry, the host, the processor's sockets and how it is called. Should the
   patches not be applied (they are off by default), the route's own backend is the primary.
2. The patches name what Envoy Gateway made by the names that it gives (its runtime flag `XDSNameSchemeV2` gives
   others), and a place in it by its number: so the gateway is one of its own, with this host alone.
3. Envoy Gateway puts its filter `ext_proc` into the listener switched off, and on again at its own routes. Ours take
   the place of those, so the virtual host switches it on.
4. The filter calls the cluster of the bootstrap, with its health checks, rather than that of the Backend: the API's
   have other limits, and would let a worker that drains be asked.
5. The internal listener wants an extension of Envoy's bootstrap, and `serve`, which tells Envoy the site's role, a
   layer of runtime that its admin interface may change. EnvoyProxy merges both in: lists there are appended to.

Sources: Envoy Gateway's API reference; internal/xds/translator for names, order and patches; RFC 6902.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from extproc.mesh import pod
from extproc.mesh.parts import Document, Parts, hostname
from extproc.settings import Endpoint, Mesh, Settings, Site

API: Final = "gateway.envoyproxy.io/v1alpha1"
GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
PROXY_GROUP: Final = 65532
"""As which Envoy Gateway's proxy runs. The volumes' group (`fsGroup`), so that both containers reach the sockets."""
_PROCESSOR: Final = "envoy.filters.http.ext_proc"
_TYPE: Final = "type.googleapis.com/envoy.config"


def documents(parts: Parts, settings: Settings) -> list[Document]:
    """EnvoyProxy, Gateway, two Backends, HTTPRoute, and both policies. Raises FormError."""
    return [
        _proxy(parts, settings),
        _gateway(settings),
        _backend(settings.mesh, "primary", [_endpoint(settings.sites.primary)], _tls(settings.sites.primary)),
        _backend(settings.mesh, "processor", _sockets(settings), {"appProtocols": ["gateway.envoyproxy.io/h2c"]}),
        _route(settings),
        _extension(settings),
        _patches(parts, settings),
    ]


def _document(api: str, kind: str, mesh: Mesh, spec: Document, part: str = "") -> Document:
    name = f"{mesh.name}-{part}" if part else mesh.name
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": mesh.namespace},
        "spec": spec,
    }


def _proxy(parts: Parts, settings: Settings) -> Document:
    deployment = {
        "pod": {"securityContext": {"fsGroup": PROXY_GROUP}, "volumes": pod.volumes(settings)},
        "container": {"volumeMounts": pod.proxy_mounts(settings)},
        "patch": {
            "type": "StrategicMerge",
            "value": {"spec": {"template": {"spec": {"containers": [pod.container(settings)]}}}},
        },
    }
    spec = {
        "provider": {"type": "Kubernetes", "kubernetes": {"envoyDeployment": deployment}},
        "bootstrap": {
            "type": "Merge",
            "value": yaml.safe_dump(
                {
                    "bootstrap_extensions": parts.bootstrap_extensions,
                    "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
                },
                sort_keys=False,
            ),
        },
    }
    return _document(API, "EnvoyProxy", settings.mesh, spec)


def _listener(mesh: Mesh) -> str:
    return "https" if mesh.certificate_secret else "http"


def _gateway(settings: Settings) -> Document:
    mesh = settings.mesh
    listener: Document = {
        "name": _listener(mesh),
        "protocol": _listener(mesh).upper(),
        "port": mesh.port,
        "hostname": hostname(settings),
    }
    if mesh.certificate_secret:
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": mesh.certificate_secret}]}
    spec = {
        "gatewayClassName": mesh.gateway_class,
        "infrastructure": {
            "parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": mesh.name}
        },
        "listeners": [listener],
    }
    return _document(GATEWAY_API, "Gateway", mesh, spec)


def _backend(mesh: Mesh, part: str, endpoints: list[Document], more: Document) -> Document:
    return _document(API, "Backend", mesh, {"endpoints": endpoints, **more}, part)


def _endpoint(site: Site) -> Document:
    place: Endpoint = site.endpoint
    if place.is_ip:
        return {"ip": {"address": place.host, "port": place.port}}
    return {"fqdn": {"hostname": place.host, "port": place.port}}


def _tls(site: Site) -> Document:
    return {"tls": {"wellKnownCACertificates": "System"}} if site.tls else {}


def _sockets(settings: Settings) -> list[Document]:
    server = settings.server
    return [{"unix": {"path": str(server.socket(number))}} for number in range(server.workers)]


def _reference(mesh: Mesh, part: str) -> Document:
    return {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": f"{mesh.name}-{part}"}


def _route(settings: Settings) -> Document:
    mesh = settings.mesh
    spec = {
        "parentRefs": [{"name": mesh.name, "sectionName": _listener(mesh)}],
        "hostnames": [hostname(settings)],
        "rules": [{"backendRefs": [_reference(mesh, "primary")], "timeouts": {"request": "0s"}}],
    }
    return _document(GATEWAY_API, "HTTPRoute", mesh, spec)


def _extension(settings: Settings) -> Document:
    mesh = settings.mesh
    call = {
        "backendRefs": [_reference(mesh, "processor")],
        "failOpen": True,
        "messageTimeout": f"{round(settings.envoy.message_timeout * 1000)}ms",
        "processingMode": {"request": {}, "allowModeOverride": True},
    }
    spec = {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": mesh.name}],
        "extProc": [call],
    }
    return _document(API, "EnvoyExtensionPolicy", mesh, spec)


def _processor(parts: Parts) -> Document:
    (found,) = [each["typed_config"] for each in parts.http_filters if each["name"] == _PROCESSOR]
    config: Document = found
    return config


def filter_name(mesh: Mesh) -> str:
    """That Envoy Gateway gives the filter of the EnvoyExtensionPolicy."""
    return f"{_PROCESSOR}/envoyextensionpolicy/{mesh.namespace}/{mesh.name}/extproc/0"


def xds_name(mesh: Mesh) -> str:
    """That Envoy Gateway gives the listener and its table of routes."""
    return f"{mesh.namespace}/{mesh.name}/{_listener(mesh)}"


def _patches(parts: Parts, settings: Settings) -> Document:
    mesh = settings.mesh
    spec = {
        "targetRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": mesh.name},
        "type": "JSONPatch",
        "jsonPatches": [
            *(_added("cluster.v3.Cluster", each) for each in parts.clusters),
            _added("listener.v3.Listener", parts.internal_listener),
            *_of_listener(parts, mesh),
            *_of_routes(parts, mesh),
        ],
    }
    return _document(API, "EnvoyPatchPolicy", mesh, spec)


def _of_listener(parts: Parts, mesh: Mesh) -> Iterator[Document]:
    chain = "/filter_chains/0" if mesh.certificate_secret else "/default_filter_chain"
    manager = f"{chain}/filters/0/typed_config"

    def patch(op: str, path: str, value: Any) -> Document:
        return _patch("listener.v3.Listener", xds_name(mesh), op, path, value)

    yield patch("add", "/per_connection_buffer_limit_bytes", parts.buffer)
    for key, value in parts.manager.items():
        yield patch("add", f"{manager}/{key}", value)
    yield patch("replace", f"{manager}/http_filters/0/typed_config", _processor(parts))
    before = parts.http_filters[: [each["name"] for each in parts.http_filters].index(_PROCESSOR)]
    for each in reversed(before):
        yield patch("add", f"{manager}/http_filters/0", each)


def _of_routes(parts: Parts, mesh: Mesh) -> Iterator[Document]:
    def patch(path: str, value: Any) -> Document:
        return _patch("route.v3.RouteConfiguration", xds_name(mesh), "add", path, value)

    for key, value in parts.route_configuration.items():
        yield patch(f"/{key}", value)
    host = "/virtual_hosts/0"
    on = {"@type": f"{_TYPE}.route.v3.FilterConfig", "config": {}}
    yield patch(f"{host}/typed_per_filter_config", {filter_name(mesh): on})
    for key, value in parts.virtual_host.items():
        if key == "routes":
            value = [_renamed(route, filter_name(mesh)) for route in value]  # noqa: PLW2901
        yield patch(f"{host}/{key}", value)


def _renamed(route: Document, name: str) -> Document:
    """Its own word for the processor's filter, by that filter's name here."""
    own = route.get("typed_per_filter_config", {})
    if _PROCESSOR not in own:
        return route
    return route | {"typed_per_filter_config": {name if key == _PROCESSOR else key: own[key] for key in own}}


def _added(kind: str, resource: Document) -> Document:
    """A resource of ours: an empty path stands for all of it."""
    return _patch(kind, resource["name"], "add", "", resource)


def _patch(kind: str, name: str, op: str, path: str, value: Any) -> Document:
    return {"type": f"{_TYPE}.{kind}", "name": name, "operation": {"op": op, "path": path, "value": value}}
