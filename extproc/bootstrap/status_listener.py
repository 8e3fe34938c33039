"""For probes and for Prometheus: two pages of Envoy's admin interface on an address that others may reach.

The admin interface itself stays where it is, on loopback as a rule: it has no users and no secrets, and whoever
reaches it may end Envoy or read its configuration.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap import endpoints, filters, match, protocol
from extproc.bootstrap.names import BUFFER, ENVOY_ADMIN, seconds
from extproc.settings import Settings

NAME: Final = "status"
PAGES: Final = ("/ready", "/stats/prometheus")
"""Source: Envoy, "Administration interface". `/ready`: 200 while it is live, 503 before it is and while it drains."""
_WITHIN: Final = timedelta(seconds=30)


def status_listeners(settings: Settings) -> list[Listener]:
    """None without `envoy.status`."""
    if settings.envoy.status is None:
        return []
    manager = Any.pack(_connection_manager())
    return [
        Listener(
            name=NAME,
            address=endpoints.address(settings.envoy.status),
            per_connection_buffer_limit_bytes=BUFFER,
            filter_chains=[
                FilterChain(
                    filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=manager)]
                )
            ],
        )
    ]


def status_clusters(settings: Settings) -> list[Cluster]:
    """Where those pages are; none without `envoy.status`."""
    if settings.envoy.status is None:
        return []
    admin = settings.envoy.admin.reached
    return [
        Cluster(
            name=ENVOY_ADMIN,
            type=endpoints.discovery(admin),
            connect_timeout=seconds(settings.envoy.connect_timeout),
            load_assignment=endpoints.assignment(ENVOY_ADMIN, endpoints.plain(endpoints.address(admin))),
            typed_extension_protocol_options=protocol.http1(),
        )
    ]


def _connection_manager() -> HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=NAME,
        route_config=RouteConfiguration(
            name=NAME,
            virtual_hosts=[VirtualHost(name=NAME, domains=["*"], routes=[_page(path) for path in PAGES])],
        ),
        http_filters=[filters.router()],
        request_timeout=_WITHIN,
        request_headers_timeout=_WITHIN,
    )


def _page(path: str) -> Route:
    return Route(
        name=path.rpartition("/")[2],
        match=RouteMatch(path=path, headers=[match.method("GET", "HEAD")]),
        route=RouteAction(cluster=ENVOY_ADMIN, timeout=_WITHIN),
    )
