"""istiod's part: the proxy's configuration without us, and an EnvoyFilter applied to it.

Sources: Istio, pilot/pkg/networking/core (names and order of what is made) and core/envoyfilter (how a patch finds
what it is for, and what it does); tools/packaging/common/envoy_bootstrap.json.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from extproc.settings import Settings
from tests.support.control_plane.merge import merge

Document = dict[str, Any]
ANYWHERE = "0.0.0.0"  # noqa: S104 - as istiod writes it
MANAGER = "envoy.filters.network.http_connection_manager"
_TYPE = "type.googleapis.com/envoy.extensions"


@dataclass
class Proxy:
    """What istiod sends to one proxy. Routes are part of their listeners here, in place of RDS."""

    context: str
    listeners: list[Document]
    clusters: list[Document] = field(default_factory=list)

    def apply(self, envoy_filter: Document) -> None:
        """Category by category, each in the order of its patches. Raises ValueError where one matches nothing."""
        patches = envoy_filter["spec"]["configPatches"]
        if wrong := [patch for patch in patches if patch["match"]["context"] != self.context]:
            raise ValueError(f"for another context: {wrong[0]}")
        for applies_to in _ORDER:
            for patch in (each for each in patches if each["applyTo"] == applies_to):
                if not list(self._applied(patch)):
                    raise ValueError(f"matches nothing: {patch['applyTo']} {patch['match']}")
        if unknown := {patch["applyTo"] for patch in patches} - set(_ORDER):
            raise ValueError(f"not known to the stand-in: {unknown}")

    def _applied(self, patch: Document) -> Iterator[bool]:
        """Each place where the patch was applied."""
        operation, value = patch["patch"]["operation"], copy.deepcopy(patch["patch"]["value"])
        where = patch["match"].get("listener", {})
        match patch["applyTo"], operation:
            case "CLUSTER", "ADD":
                self.clusters.append(value)
                yield True
            case "LISTENER", "ADD":
                self.listeners.append(value)
                yield True
            case "LISTENER", "MERGE":
                for listener in self.listeners:
                    if _is_listener(listener, where, itself=True):
                        merge(listener, value)
                        yield True
            case "NETWORK_FILTER", "MERGE":
                for network_filter in self._managers(where):
                    merge(network_filter, value)
                    yield True
            case "HTTP_FILTER", "INSERT_BEFORE":
                before = where["filterChain"]["filter"]["subFilter"]["name"]
                for network_filter in self._managers(where):
                    filters = network_filter["typed_config"]["http_filters"]
                    place = [each["name"] for each in filters].index(before)
                    filters.insert(place, value)
                    yield True
            case _:
                yield from self._applied_to_routes(patch["applyTo"], operation, patch["match"], value)

    def _applied_to_routes(
        self, applies_to: str, operation: str, match_: Document, value: Document
    ) -> Iterator[bool]:
        for routes in self._route_configurations(match_["routeConfiguration"]):
            match applies_to, operation:
                case "ROUTE_CONFIGURATION", "MERGE":
                    merge(routes, value)
                    yield True
                case "VIRTUAL_HOST", "ADD":
                    routes["virtual_hosts"].append(value)
                    yield True
                case "VIRTUAL_HOST", "MERGE":
                    for virtual_host in routes["virtual_hosts"]:
                        merge(virtual_host, value)
                        yield True
                case "HTTP_ROUTE", "INSERT_FIRST":
                    for virtual_host in routes["virtual_hosts"]:
                        virtual_host["routes"].insert(0, copy.deepcopy(value))
                        yield True
                case _:
                    raise ValueError(f"not known to the stand-in: {applies_to} {operation}")

    def _managers(self, where: Document) -> Iterator[Document]:
        for listener in self.listeners:
            if _is_listener(listener, where, itself=False):
                for chain in listener["filter_chains"]:
                    if _is_chain(listener, chain, where):
                        wanted = where["filterChain"]["filter"]["name"]
                        yield from (each for each in chain["filters"] if each["name"] == wanted)

    def _route_configurations(self, where: Document) -> Iterator[Document]:
        for listener in self.listeners:
            for chain in listener["filter_chains"]:
                for network_filter in chain["filters"]:
                    routes = network_filter["typed_config"]["route_config"]
                    if self._is_route_configuration(routes["name"], where):
                        yield routes

    def _is_route_configuration(self, name: str, where: Document) -> bool:
        if self.context == "SIDECAR_INBOUND":
            port = name.split("|")[1] if name.startswith("inbound|") else None
            return bool(where["portNumber"] == int(port or 0))
        kind, _, rest = name.partition(".")
        if kind not in {"http", "https"}:
            return False
        port, *more = rest.split(".")
        gateway = "/".join(reversed(more[1:])) if more else ""
        return bool(where["portNumber"] == int(port)) and where.get("gateway", gateway) == gateway


_ORDER = (
    *("CLUSTER", "LISTENER", "NETWORK_FILTER", "HTTP_FILTER"),
    *("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"),
)


def _is_listener(listener: Document, where: Document, *, itself: bool) -> bool:
    if where.get("name", listener["name"]) != listener["name"]:
        return False
    if listener["name"] == "virtualInbound" and not itself:
        return True  # the port is a filter chain's
    address = listener.get("address", {}).get("socket_address", {})
    return bool(where.get("portNumber", address.get("port_value")) == address.get("port_value"))


def _is_chain(listener: Document, chain: Document, where: Document) -> bool:
    match_ = chain.get("filter_chain_match", {})
    if listener["name"] == "virtualInbound" and where["portNumber"] != match_.get("destination_port"):
        return False
    sni = where["filterChain"].get("sni")
    return sni is None or sni in match_.get("server_names", [])


def gateway(settings: Settings, transport_socket: Document | None = None) -> Proxy:
    """Of a Gateway whose host no VirtualService names: all is answered 404. `transport_socket`: in place of SDS."""
    mesh = settings.mesh
    name = f"https.{mesh.port}.https.{mesh.name}.{mesh.namespace}" if mesh.certificate_secret else f"http.{mesh.port}"
    nothing = {
        "name": f"blackhole:{mesh.port}",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 404}}],
    }
    routes = {"name": name, "virtual_hosts": [nothing], "ignore_port_in_host_matching": True}
    chain: Document = {"filters": [_manager(f"outbound_0.0.0.0_{mesh.port}", routes, use_remote_address=True)]}
    if mesh.certificate_secret:
        chain |= {"filter_chain_match": {"server_names": [mesh.hostname]}, "transport_socket": transport_socket}
    return Proxy("GATEWAY", [_listener(f"0.0.0.0_{mesh.port}", mesh.port, chain)])


def sidecar(settings: Settings) -> Proxy:
    """Of a pod with one HTTP port: it all goes to the container that listens there."""
    port = settings.mesh.port
    cluster = f"inbound|{port}||"
    to_the_container = {
        "name": f"inbound|http|{port}",
        "domains": ["*"],
        "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}],
    }
    manager = _manager(f"inbound_0.0.0.0_{port}", {"name": cluster, "virtual_hosts": [to_the_container]})
    chain = {"name": f"0.0.0.0_{port}", "filter_chain_match": {"destination_port": port}, "filters": [manager]}
    # The connections are redirected to 15006; here they come in at the port itself.
    return Proxy(
        "SIDECAR_INBOUND",
        [_listener("virtualInbound", port, chain)],
        [{"name": cluster, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "10s"}],
    )


def _listener(name: str, port: int, chain: Document) -> Document:
    return {
        "name": name,
        "address": {"socket_address": {"address": ANYWHERE, "port_value": port}},
        "filter_chains": [chain],
    }


def _manager(prefix: str, routes: Document, **more: Any) -> Document:
    """Without the filters that only istio-proxy has: what they do is not about routing."""
    filters = {
        "envoy.filters.http.grpc_stats": {"emit_filter_state": True, "stats_for_all_methods": False},
        "envoy.filters.http.fault": {},
        "envoy.filters.http.cors": {},
        "envoy.filters.http.router": {},
    }
    types = {"grpc_stats": "FilterConfig", "fault": "HTTPFault", "cors": "Cors", "router": "Router"}
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {"@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog", "path": "/dev/null"},
    }
    return {
        "name": MANAGER,
        "typed_config": {
            "@type": f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": prefix,
            "route_config": {**routes, "validate_clusters": False},
            "http_filters": [
                {
                    "name": name,
                    "typed_config": {
                        "@type": f"{_TYPE}.filters.http.{(short := name.rpartition('.')[2])}.v3.{types[short]}",
                        **config,
                    },
                }
                for name, config in filters.items()
            ],
            "access_log": [log],
            "server_name": "istio-envoy",
            "stream_idle_timeout": "0s",
            "normalize_path": True,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            **more,
        },
    }


def bootstrap(proxy: Proxy, *, admin: tuple[str, int]) -> Document:
    """The file that the agent starts the proxy with, and in it what would come by xDS."""
    host, port = admin
    return {
        "node": {
            "id": "router~10.0.0.1~registry.registry~registry.svc.cluster.local",
            "cluster": "registry.registry",
        },
        "layered_runtime": {
            "layers": [
                {"name": "global config", "static_layer": {"re2.max_program_size.error_level": "32768"}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": f"{_TYPE}.bootstrap.internal_listener.v3.InternalListener",
                    "buffer_size_kb": 64,
                },
            }
        ],
        "admin": {"address": {"socket_address": {"address": host, "port_value": port}}},
        "static_resources": {"listeners": proxy.listeners, "clusters": proxy.clusters},
    }
