"""Envoy: it is there, its version is one that does what the configuration needs, and it finds everybody well."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final

from extproc.bootstrap.names import EXTPROC, PRIMARY, SECONDARY, SECONDARY_FIRST
from extproc.doctor.finding import Finding, fault, ok, unknown
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Unreachable

LEAST: Final = {"composite": (1, 40), "priorities": (1, 37)}
"""Envoy's version for each `envoy.fallback` (docs/envoy.md)."""
_VERSION: Final = re.compile(r"/(\d+)\.(\d+)\.(\d+)")
_ADMIN: Final = "run this where envoy.admin is reachable, or correct it"
_WORKERS: Final = "start it, or see that Envoy may open its socket: without it every request goes to the primary"
_SITE: Final = "see that registry, and the way to it from Envoy's machine"
_UNWELL: Final = ("failed_active_health_check", "failed_outlier_check", "failed_active_degraded_check")


async def envoy(at: Installation) -> AsyncGenerator[Finding, None]:
    """GET /v2/ at the gateway; version and clusters from Envoy's admin interface."""
    try:
        reply = await at.gateway.ask("GET", "/v2/")
    except Unreachable as error:
        yield fault("gateway", str(error), "start Envoy, or correct envoy.listen, --url or --ca")
    else:
        yield judged_gateway(str(at.gateway), reply.status)
    try:
        server = await at.envoy_document("/server_info")
        clusters = await at.envoy_document("/clusters?format=json")
    except Unreachable as error:
        yield unknown("admin", str(error), _ADMIN)
        return
    yield judged_version(str(server.get("version", "")), at.settings.envoy.fallback)
    for finding in judged_clusters(clusters, at.settings.envoy.fallback, promoted=at.promoted):
        yield finding


def judged_gateway(gateway: str, status: int) -> Finding:
    """`status`: of GET /v2/ without a token."""
    if status in (200, 401):
        return ok("gateway", f"{gateway} answers ({status})")
    return fault(
        "gateway",
        f"{gateway} answers {status} to GET /v2/, not 401",
        "see whether it is this Envoy, and its access log: 503 is for no site that could answer",
    )


def judged_version(text: str, fallback: str) -> Finding:
    """`text` as Envoy tells it: `<commit>/1.40.0/Clean/RELEASE/BoringSSL`."""
    found = _VERSION.search(text)
    least = LEAST[fallback]
    needed = ".".join(map(str, least))
    if found is None:
        return unknown(
            "version", f"Envoy does not tell its version: {text[:80]!r}", f"see that it is {needed} or later"
        )
    version = f"{found[1]}.{found[2]}.{found[3]}"
    if (int(found[1]), int(found[2])) >= least:
        return ok("version", f"it is Envoy {version}")
    other = ', or set envoy.fallback = "priorities" and render again' if fallback == "composite" else ""
    return fault(
        "version",
        f'it is Envoy {version}: envoy.fallback = "{fallback}" needs {needed} or later',
        f"upgrade Envoy{other}",
    )


def judged_clusters(document: Mapping[str, Any], fallback: str, *, promoted: bool = False) -> Iterator[Finding]:
    """`document`: /clusters?format=json. In `priorities` both sites are one cluster's endpoints.

    `promoted`: the former primary is not needed.
    """
    by_name = {str(each.get("name")): each for each in document.get("cluster_statuses", [])}
    good: list[str] = []
    needed = (EXTPROC, *([] if promoted else [PRIMARY]), SECONDARY if fallback == "composite" else SECONDARY_FIRST)
    for name in needed:
        cluster = by_name.get(name)
        if cluster is None:
            yield fault("clusters", f"Envoy has no cluster {name}", "render its configuration again, and restart it")
            continue
        hosts = cluster.get("host_statuses", [])
        unwell = [(_address(host), _complaints(host)) for host in hosts if _complaints(host)]
        if not hosts:
            yield fault("clusters", f"Envoy's cluster {name} has no endpoint", "see that its name can be resolved")
        for address, complaints in unwell:
            who = "a worker of the processor" if name == EXTPROC else f"{name}'s endpoint"
            yield fault(
                "clusters",
                f"Envoy finds {who} unwell, {address}: {', '.join(complaints)}",
                _WORKERS if name == EXTPROC else _SITE,
            )
        if hosts and not unwell:
            good.append(f"{name} ({len(hosts)})")
    if good:
        yield ok("clusters", f"Envoy finds {', '.join(good)} well")


def _complaints(host: Mapping[str, Any]) -> list[str]:
    health = host.get("health_status", {})
    return [name.replace("_", " ") for name in _UNWELL if health.get(name)]


def _address(host: Mapping[str, Any]) -> str:
    address = host.get("address", {})
    if "pipe" in address:
        return str(address["pipe"].get("path"))
    socket = address.get("socket_address", {})
    return f"{socket.get('address')}:{socket.get('port_value')}"
