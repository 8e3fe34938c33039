"""No site's URL is the gateway's: Geo's own synchronization, and every fallback, must reach a registry itself.

A gateway that has itself as primary goes in a circle; replication that reads through one may be given what is here.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator

from extproc.doctor.finding import Finding, fault, ok, unknown
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Peer, Reply, Unreachable
from extproc.settings import Endpoint, Settings, Site

_OURS = ("x-geo-site", "x-geo-reason")
_REMEDY = "set sites.{}.url to the registry itself, and let Geo's replication use that address, not the unified one"


async def site_urls(at: Installation) -> AsyncGenerator[Finding, None]:
    """A marked request to each site: an answer with headers of ours came through a gateway."""
    for (peer, site), subject in zip(at.sites, ("primary", "secondary"), strict=True):
        same = _listens(site, at.settings) or peer.url == at.gateway.url
        # Known again in an access log, should it go in a circle.
        mark = ("X-Request-Id", f"geo-doctor-{secrets.token_hex(8)}")
        try:
            reply = await peer.ask("GET", "/v2/", [mark])
        except Unreachable as error:
            yield unknown(subject, f"nothing can be seen of its answers: {error}", "see the other findings about it")
            continue
        findings = list(judged(subject, peer, reply, same=same))
        for finding in findings:
            yield finding
        if not findings:
            hidden = "" if at.settings.envoy.response_headers else "; a gateway elsewhere could not be seen, as its "
            hidden += "headers are off (envoy.response_headers)" if hidden else ""
            yield ok(subject, f"{peer} answers as a registry, not as a gateway{hidden}")


def judged(subject: str, peer: Peer, reply: Reply, *, same: bool) -> Iterator[Finding]:
    """`same`: its address is the gateway's."""
    seen = [name for name in _OURS if name in reply.headers]
    if same:
        yield fault(subject, f"{peer} is the gateway itself: requests go in a circle", _REMEDY.format(subject))
    elif seen:
        yield fault(
            subject,
            f"{peer} answers with {' and '.join(seen)}: that is a gateway, not a registry",
            _REMEDY.format(subject),
        )


def _listens(site: Site, settings: Settings) -> bool:
    """Whether the site's address is where our own Envoy listens, as it may be written from this machine."""

    def place(endpoint: Endpoint) -> tuple[str, int]:
        host = endpoint.host.lower()
        return "127.0.0.1" if host in ("localhost", "::1") else host, endpoint.port

    return place(site.endpoint) == place(settings.envoy.listen.reached)
