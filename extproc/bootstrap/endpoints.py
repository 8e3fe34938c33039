"""Addresses, and the metadata that says which site an endpoint is."""

from __future__ import annotations

from pathlib import Path

from envoy_data_plane.envoy.config.cluster.v3 import ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address, EnvoyInternalAddress, Metadata, Pipe, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    EndpointHealthCheckConfig,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.google.protobuf import Struct

from extproc import settings
from extproc.bootstrap.names import GEO_METADATA, SECONDARY, STALE

TRANSPORT_SOCKET_MATCH = "envoy.transport_socket_match"
"""The namespace in which Envoy looks for an endpoint's own transport socket."""


def address(endpoint: settings.Endpoint) -> Address:
    return Address(socket_address=SocketAddress(address=endpoint.host, port_value=endpoint.port))


def discovery(endpoint: settings.Endpoint) -> ClusterDiscoveryType:
    """STATIC takes no names, STRICT_DNS would resolve an address for ever."""
    return ClusterDiscoveryType.STATIC if endpoint.is_ip else ClusterDiscoveryType.STRICT_DNS


def of_site(
    name: str,
    site: settings.Site,
    *,
    named: bool = False,
    priority: int = 0,
    checked: bool = True,
    match_socket: bool = False,
    promoted: bool = False,
) -> LocalityLbEndpoints:
    """The endpoint of a site. Its metadata reaches response headers, the access log and the processor.

    `named` where a route rewrites Host to the name of the endpoint that it gets (see `own_hosts`). `checked` is
    False where a failed health check must not keep requests away. `match_socket` for a cluster in which the
    sites differ in TLS. `promoted` for the secondary's registry called the primary: it teaches the processor nothing.
    """
    metadata = {GEO_METADATA: Struct.from_dict({"site": name} | ({"promoted": "yes"} if promoted else {}))}
    if match_socket:
        metadata[TRANSPORT_SOCKET_MATCH] = Struct.from_dict({"site": name})
    return LocalityLbEndpoints(
        lb_endpoints=[
            LbEndpoint(
                endpoint=Endpoint(
                    address=address(site.endpoint),
                    hostname=site.host or _authority(site) if named else "",
                    health_check_config=EndpointHealthCheckConfig(
                        hostname=site.host or _authority(site), disable_active_health_check=not checked
                    ),
                ),
                metadata=Metadata(filter_metadata=metadata),
            )
        ],
        priority=priority,
    )


def of_stale(sites: settings.Sites) -> LocalityLbEndpoints:
    """The listener `stale` in the secondary's place: only what passes it reaches the secondary."""
    locality = of_site(SECONDARY, sites.secondary, named=own_hosts(sites), checked=False)
    (end,) = locality.lb_endpoints
    if end.endpoint is not None:
        end.endpoint.address = Address(
            envoy_internal_address=EnvoyInternalAddress(server_listener_name=STALE, endpoint_id=STALE)
        )
    return locality


def own_hosts(sites: settings.Sites) -> bool:
    """Whether a read that may be answered by either site needs a Host for each.

    Envoy rewrites Host per attempt only to the endpoint's name, and only if it has one; it cannot go back to the
    client's for the next attempt. So as soon as one site has a Host of its own, the other goes by its URL's.
    """
    return bool(sites.primary.host or sites.secondary.host)


def _authority(site: settings.Site) -> str:
    return site.url.partition("://")[2]


def plain(*addresses: Address) -> LocalityLbEndpoints:
    return LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=Endpoint(address=address)) for address in addresses])


def pipe(path: Path) -> Address:
    return Address(pipe=Pipe(path=str(path)))


def assignment(cluster: str, *localities: LocalityLbEndpoints) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(cluster_name=cluster, endpoints=list(localities))
