"""Who is there: the two sites, both in a row, and our own servers."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCustomClusterType,
    ClusterDiscoveryType,
    ClusterDnsLookupFamily,
    ClusterLbPolicy,
    ClusterTransportSocketMatch,
    UpstreamConnectionOptions,
)
from envoy_data_plane.envoy.config.core.v3 import TcpKeepalive
from envoy_data_plane.envoy.extensions.clusters.aggregate.v3 import ClusterConfig as Aggregate
from envoy_data_plane.envoy.extensions.clusters.composite.v3 import ClusterConfig, ClusterConfigClusterEntry
from envoy_data_plane.google.protobuf import Any, Struct

from extproc import settings as configuration
from extproc.bootstrap import endpoints, health, protocol, tls
from extproc.bootstrap.names import (
    ADMIN,
    BUFFER,
    EXTPROC,
    ISSUER,
    LOCAL,
    PRIMARY,
    PRIMARY_AFTER_ALL,
    PRIMARY_IF_WELL,
    PRIMARY_THEN_SECONDARY,
    SECONDARY,
    SECONDARY_FIRST,
    STALE,
    seconds,
)
from extproc.bootstrap.tracing import collector
from extproc.settings import Settings, Site

UNCOUNTED = 2**32 - 1


def clusters(settings: Settings) -> list[Cluster]:
    sites = settings.sites
    found = [_primary(settings)]
    if settings.envoy.fallback == "composite":
        found += [_secondary(settings), _in_a_row(settings, SECONDARY_FIRST, SECONDARY, PRIMARY)]
    else:
        found.append(_priorities(settings))
    found += [
        _primary_if_well(settings),
        _stale(settings),
        # Not checked: of a row of clusters only those with a healthy address are taken, whatever panic says.
        _site(settings, PRIMARY_AFTER_ALL, sites.primary, called=PRIMARY),
        _in_a_row(settings, PRIMARY_THEN_SECONDARY, PRIMARY_IF_WELL, STALE, PRIMARY_AFTER_ALL),
        _local(settings),
    ]
    found += [_processor(settings), _admin(settings), *collector(settings)]
    if sites.issuer is not None:
        found.append(_site(settings, ISSUER, sites.issuer))
    return found


def _primary(settings: Settings) -> Cluster:
    cluster = _site(settings, PRIMARY, settings.sites.primary)
    cluster.health_checks = [health.registry_check(settings.envoy)]
    cluster.common_lb_config = health.panic()
    cluster.outlier_detection = health.outliers(eject_all=False)
    return cluster


def _secondary(settings: Settings) -> Cluster:
    cluster = _site(settings, SECONDARY, settings.sites.secondary)
    cluster.health_checks = [health.registry_check(settings.envoy)]
    cluster.common_lb_config = health.no_panic()
    cluster.outlier_detection = health.outliers(eject_all=True)
    return cluster


def _primary_if_well(settings: Settings) -> Cluster:
    """Where the secondary may answer instead, a primary that looks dead costs nobody a timeout.

    Where the secondary has nothing, `PRIMARY_AFTER_ALL` follows.
    """
    cluster = _site(settings, PRIMARY_IF_WELL, settings.sites.primary, called=PRIMARY)
    cluster.health_checks = [health.answering_check(settings.envoy)]
    cluster.common_lb_config = health.no_panic()
    cluster.outlier_detection = health.outliers(eject_all=True)
    return cluster


def _stale(settings: Settings) -> Cluster:
    """No address of a network: an internal listener of this Envoy."""
    return Cluster(
        name=STALE,
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=seconds(settings.envoy.connect_timeout),
        per_connection_buffer_limit_bytes=BUFFER,
        load_assignment=endpoints.assignment(STALE, endpoints.of_stale(settings.sites)),
        circuit_breakers=_breakers(settings.envoy.max_connections),
        typed_extension_protocol_options=protocol.http1(),
    )


def _local(settings: Settings) -> Cluster:
    """Always tried, for there is no other to ask; so it is not checked.

    Called the primary, which it is where a request comes here straight. Behind the listener `stale` nobody sees that.
    The processor is told apart from that: to one whose role is the secondary's, this registry is no primary that
    could teach it anything, however Envoy came to think so.
    """
    return _site(settings, LOCAL, settings.sites.secondary, called=PRIMARY, promoted=True)


def _in_a_row(settings: Settings, name: str, *names: str) -> Cluster:
    """Each attempt at the next cluster (fact 2, and for the aggregate cluster fact 20).

    Without a healthy address one is passed over.
    """
    if settings.envoy.fallback == "composite":
        kind = ClusterCustomClusterType(
            name="envoy.clusters.composite",
            typed_config=Any.pack(ClusterConfig(clusters=[ClusterConfigClusterEntry(name=each) for each in names])),
        )
    else:
        kind = ClusterCustomClusterType(
            name="envoy.clusters.aggregate", typed_config=Any.pack(Aggregate(clusters=list(names)))
        )
    return Cluster(
        name=name,
        connect_timeout=seconds(settings.envoy.connect_timeout),
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        cluster_type=kind,
        # Retries are counted here, not at the clusters that serve them.
        circuit_breakers=_breakers(settings.envoy.max_connections),
        typed_extension_protocol_options=protocol.http1(),
    )


def _priorities(settings: Settings) -> Cluster:
    """Fact 16: the fallback for Envoys without the composite cluster. One cluster, a priority for each site.

    Ejecting is left to the secondary's health check: detection of outliers works on a cluster as a whole, and an
    ejected primary would leave a 404 of the secondary as the answer.
    """
    sites = settings.sites
    ends = [site.endpoint for site in (sites.secondary, sites.primary)]
    named = endpoints.own_hosts(sites)
    static = all(end.is_ip for end in ends)
    cluster = _base(settings, SECONDARY_FIRST, ends[0] if static else next(end for end in ends if not end.is_ip))
    cluster.load_assignment = endpoints.assignment(
        SECONDARY_FIRST,
        endpoints.of_site(SECONDARY, sites.secondary, named=named, match_socket=True),
        endpoints.of_site(PRIMARY, sites.primary, named=named, match_socket=True, priority=1, checked=False),
    )
    cluster.transport_socket_matches = [
        ClusterTransportSocketMatch(
            name=name, match=Struct.from_dict({"site": name}), transport_socket=tls.upstream(site)
        )
        for name, site in ((SECONDARY, sites.secondary), (PRIMARY, sites.primary))
        if site.tls
    ]
    cluster.health_checks = [health.registry_check(settings.envoy)]
    cluster.common_lb_config = health.no_panic()
    cluster.typed_extension_protocol_options = protocol.http1()
    return cluster


def _site(settings: Settings, name: str, site: Site, *, called: str = "", promoted: bool = False) -> Cluster:
    """`called`: the site's name, where the cluster has another. `promoted`: see `endpoints.of_site`."""
    cluster = _base(settings, name, site.endpoint)
    cluster.load_assignment = endpoints.assignment(
        name,
        endpoints.of_site(called or name, site, named=endpoints.own_hosts(settings.sites), promoted=promoted),
    )
    cluster.transport_socket = tls.upstream(site)
    cluster.typed_extension_protocol_options = protocol.http1()
    return cluster


def _base(settings: Settings, name: str, endpoint: configuration.Endpoint) -> Cluster:
    return Cluster(
        name=name,
        type=endpoints.discovery(endpoint),
        # Envoy's default takes an IPv6 address where there is one, whether or not there is a way to it.
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=seconds(settings.envoy.connect_timeout),
        per_connection_buffer_limit_bytes=BUFFER,
        lb_policy=ClusterLbPolicy.LEAST_REQUEST,
        circuit_breakers=_breakers(settings.envoy.max_connections),
        upstream_connection_options=UpstreamConnectionOptions(
            tcp_keepalive=TcpKeepalive(keepalive_probes=3, keepalive_time=30, keepalive_interval=10)
        ),
    )


def _processor(settings: Settings) -> Cluster:
    """Every worker is an endpoint: Envoy keeps one connection per thread, so the kernel would pin it to one
    worker (fact 10). Without a healthy worker no request waits for the message timeout.
    """
    server = settings.server
    if server.address is None:
        kind = ClusterDiscoveryType.STATIC
        workers = [endpoints.pipe(server.socket(number)) for number in range(server.workers)]
    else:
        kind = endpoints.discovery(server.address)
        workers = [
            endpoints.address(configuration.Endpoint(host=server.address.host, port=server.address.port + number))
            for number in range(server.workers)
        ]
    return Cluster(
        name=EXTPROC,
        type=kind,
        dns_lookup_family=ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(milliseconds=250),
        lb_policy=ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=endpoints.assignment(EXTPROC, endpoints.plain(*workers)),
        health_checks=[health.processor_check()],
        common_lb_config=health.no_panic(),
        # Beyond what the workers take, the stream fails at once and the request goes to the primary.
        circuit_breakers=_breakers(server.max_concurrent_streams * server.workers),
        typed_extension_protocol_options=protocol.http2(server.max_concurrent_streams),
    )


def _admin(settings: Settings) -> Cluster:
    address = settings.admin.address.reached
    cluster = _base(settings, ADMIN, address)
    cluster.load_assignment = endpoints.assignment(ADMIN, endpoints.plain(endpoints.address(address)))
    cluster.typed_extension_protocol_options = protocol.http1()
    return cluster


def _breakers(limit: int) -> CircuitBreakers:
    """Limits of connections and requests; retries are requests, and have no limit of their own.

    Envoy allows three at once. Where they run out, a fallback does not fail: the secondary's 404 is the answer
    (fact 2). Where requests run out it is a 503.
    """
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=limit, max_pending_requests=limit, max_requests=limit, max_retries=UNCOUNTED
            )
        ]
    )
