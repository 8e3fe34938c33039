"""Envoy Gateway's part: the proxy's configuration for our documents of its API, and the EnvoyPatchPolicy applied.

Sources: Envoy Gateway, internal/xds/translator (names and order of what is made, how patches are applied) and
internal/xds/bootstrap (the file that the proxy starts with).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import yaml

from tests.support.control_plane.merge import merge

Document = dict[str, Any]
_TYPE = "type.googleapis.com/envoy"
_FILTER = "envoy.filters.http.ext_proc"


@dataclass
class Proxy:
    """What Envoy Gateway sends to one proxy: resources by name. Routes are put into their listeners in the end."""

    listeners: dict[str, Document]
    routes: dict[str, Document]
    clusters: dict[str, Document]
    bootstrap: Document = field(default_factory=dict)

    def apply(self, policy: Document) -> None:
        """Each patch by itself. Raises ValueError or JsonPatchException where Envoy Gateway would leave it out."""
        kinds = {
            f"{_TYPE}.config.listener.v3.Listener": self.listeners,
            f"{_TYPE}.config.route.v3.RouteConfiguration": self.routes,
            f"{_TYPE}.config.cluster.v3.Cluster": self.clusters,
        }
        for patch in policy["spec"]["jsonPatches"]:
            resources, name, operation = kinds[patch["type"]], patch["name"], patch["operation"]
            if operation["op"] == "add" and operation["path"] == "":
                if name in resources or operation["value"]["name"] != name:
                    raise ValueError(f"cannot be added as {name}")
                resources[name] = copy.deepcopy(operation["value"])
            elif name not in resources:
                raise ValueError(f"unable to find xds resource {patch['type']}: {name}")
            else:
                resources[name] = jsonpatch.apply_patch(resources[name], [copy.deepcopy(operation)])


def proxy(documents: Iterable[Document], transport_socket: Document | None = None) -> Proxy:
    """For these, without the patches. `transport_socket`: in place of SDS."""
    kinds = {document["kind"]: document for document in documents if document["kind"] != "Backend"}
    gateway, route = kinds["Gateway"], kinds["HTTPRoute"]
    (listener,) = gateway["spec"]["listeners"]
    (host,) = route["spec"]["hostnames"]
    if listener["hostname"] != host or route["spec"]["parentRefs"][0]["sectionName"] != listener["name"]:
        raise ValueError("the route is for another listener")
    names = gateway["metadata"]
    name = f"{names['namespace']}/{names['name']}/{listener['name']}"
    extension = kinds["EnvoyExtensionPolicy"]
    filter_name = "/".join(
        (
            *(_FILTER, "envoyextensionpolicy", extension["metadata"]["namespace"], extension["metadata"]["name"]),
            "extproc/0",
        )
    )
    backend = f"httproute/{route['metadata']['namespace']}/{route['metadata']['name']}/rule/0"
    virtual_host = {
        "name": f"{name}/{host.replace('.', '_')}",
        "domains": [host],
        "routes": [
            {
                "name": f"{backend}/match/0/{host.replace('.', '_')}",
                "match": {"prefix": "/"},
                "route": {"cluster": backend, "timeout": "0s"},
                "typed_per_filter_config": {
                    filter_name: {"@type": f"{_TYPE}.config.route.v3.FilterConfig", "config": {}}
                },
            }
        ],
    }
    return Proxy(
        {name: _listener(name, listener, host, _ext_proc(filter_name, extension), transport_socket)},
        {name: {"name": name, "ignore_port_in_host_matching": True, "virtual_hosts": [virtual_host]}},
        {backend: _cluster(backend)},
        yaml.safe_load(kinds["EnvoyProxy"]["spec"]["bootstrap"]["value"]),
    )


def _ext_proc(name: str, extension: Document) -> Document:
    """Of the fields that the policy has."""
    (call,) = extension["spec"]["extProc"]
    if call["processingMode"] != {"request": {}, "allowModeOverride": True}:
        raise ValueError(f"not known to the stand-in: {call['processingMode']}")
    cluster = f"{name.partition('/')[2].removesuffix('/extproc/0')}/0"
    return {
        "name": name,
        "disabled": True,
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "allow_mode_override": True,
            "failure_mode_allow": call["failOpen"],
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster, "authority": "."}, "timeout": "10s"},
            "message_timeout": f"{int(call['messageTimeout'].removesuffix('ms')) / 1000:g}s",
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_trailer_mode": "SKIP",
                "response_header_mode": "SKIP",
                "response_trailer_mode": "SKIP",
            },
        },
    }


def _listener(
    name: str, listener: Document, host: str, ext_proc: Document, transport_socket: Document | None
) -> Document:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http2_protocol_options": {
            "initial_connection_window_size": 1048576,
            "initial_stream_window_size": 65536,
            "max_concurrent_streams": 100,
        },
        "http_filters": [ext_proc, router],
        "merge_slashes": True,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "server_header_transformation": "PASS_THROUGH",
        "stat_prefix": f"{listener['name']}-{listener['port']}",
        "use_remote_address": True,
    }
    chain: Document = {
        "name": name,
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
    }
    made: Document = {
        "name": name,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": listener["port"]}},  # noqa: S104
        "per_connection_buffer_limit_bytes": 32768,
        "max_connections_to_accept_per_socket_event": 1,
    }
    if listener["protocol"] == "HTTP":
        return made | {"default_filter_chain": chain}
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {"@type": f"{_TYPE}.extensions.filters.listener.tls_inspector.v3.TlsInspector"},
    }
    secure = chain | {"filter_chain_match": {"server_names": [host]}, "transport_socket": transport_socket}
    return made | {"listener_filters": [inspector], "filter_chains": [secure]}


def _cluster(name: str) -> Document:
    """To which nothing goes once the patches are applied; its endpoints would come by EDS."""
    return {"name": name, "type": "STATIC", "connect_timeout": "10s", "load_assignment": {"cluster_name": name}}


def bootstrap(made: Proxy, *, admin: tuple[str, int]) -> Document:
    """The file that the proxy is started with, and in it what would come by xDS."""
    for name, routes in made.routes.items():
        for chain in _chains(made.listeners[name]):
            chain["filters"][0]["typed_config"]["route_config"] = routes | {"validate_clusters": False}
    host, port = admin
    document: Document = {
        "node": {"id": "envoy-registry-registry-0", "cluster": "registry/registry"},
        "admin": {"address": {"socket_address": {"address": host, "port_value": port}}},
        "layered_runtime": {
            "layers": [{"name": "global_config", "static_layer": {"re2.max_program_size.error_level": 4294967295}}]
        },
        "static_resources": {"listeners": [*made.listeners.values()], "clusters": [*made.clusters.values()]},
    }
    merge(document, made.bootstrap)
    return document


def _chains(listener: Document) -> list[Document]:
    found: list[Document] = listener.get("filter_chains") or [listener["default_filter_chain"]]
    return found
