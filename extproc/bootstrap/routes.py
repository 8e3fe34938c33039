"""What each steering header means, and what happens to a request that no processor saw.

The rules, in order; the first that matches is taken

1. /jwt/auth goes to the issuer, past the processor.
2. Where this site is the primary (`sites.role`), everything goes to the registry here: all requests by Envoy's
   runtime, which `serve` keeps equal to the role, and each with `x-geo-route: local`.
3. `x-geo-route: secondary`, GET and HEAD: the secondary, then the primary. Nothing else is ever tried twice at
   two sites: a PUT would be (fact 3). One that announces a body, as no client's does, goes to the primary at once: a
   body that is too large for Envoy to keep would be the end of the fallback (fact 24).
4. `x-geo-route: primary-then-secondary`, GET and HEAD: the primary, and the secondary only where it fails. Where that
   has nothing, the primary once more.
5. `x-geo-route: primary`, PUT of a manifest or DELETE: the primary, for `policy.write_timeout` at most, since
   its mark in the store ends a little later.
6. `x-geo-route` with anything else: the primary. A read may be sent again where it certainly got no answer.
7. Without `x-geo-route`, a write in a form that we cannot read as the registry would: refused.
8. Without it, a DELETE by digest: 503. If its copy were lost too, no tombstone would be written, and the secondary
   would go on serving what was deleted: no new access (P6) goes before availability (P1).
9. Without it, any other PUT or DELETE that changes what a name means: the primary, and a copy to the admin server.
10. All else: the primary.

No route has a timeout, for a layer takes as long as it takes; idle streams are the listener's to end.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import HeaderValueOption, RuntimeFractionalPercent
from envoy_data_plane.envoy.config.route.v3 import (
    HedgePolicy,
    RetryPolicy,
    Route,
    RouteAction,
    RouteActionMaxStreamDuration,
    RouteActionRequestMirrorPolicy,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher
from envoy_data_plane.envoy.type.v3 import FractionalPercent

from extproc.bootstrap import local_reply, match, retry
from extproc.bootstrap.endpoints import own_hosts
from extproc.bootstrap.filters import past_the_processor
from extproc.bootstrap.header import add_if_absent, overwrite, remove
from extproc.bootstrap.names import (
    ADMIN,
    GEO_METADATA,
    GEO_REASON,
    GEO_ROUTE,
    GEO_SITE,
    IF_PRIMARY_FAILS,
    ISSUER,
    LOCAL,
    PRIMARY,
    PRIMARY_THEN_SECONDARY,
    PROMOTED_KEY,
    SECONDARY,
    SECONDARY_FIRST,
    UNBOUNDED,
    seconds,
)
from extproc.settings import Settings, Site
from extproc.settings.sites import JWT_AUTH


def route_configuration(settings: Settings) -> RouteConfiguration:
    return RouteConfiguration(
        name="registry",
        virtual_hosts=[
            VirtualHost(
                name="registry",
                domains=["*"],
                routes=[
                    *_issuer(settings),
                    *_promoted(settings),
                    *_local(settings),
                    _read_with_a_body(settings),
                    _secondary_first(settings),
                    _primary_then_secondary(settings),
                    _seen_change(settings),
                    _seen_read(settings),
                    _seen(settings),
                    *_unreadable_writes(settings),
                    _unseen_delete(settings),
                    _unseen_change(settings),
                    _unseen(settings),
                ],
                # A site that sends these headers must not pass for us; what is removed goes before what is added.
                response_headers_to_remove=[GEO_SITE, GEO_REASON],
                response_headers_to_add=_explanation(settings),
            )
        ],
        # Otherwise the virtual host would remove what a route adds.
        most_specific_header_mutations_wins=True,
    )


def _explanation(settings: Settings) -> list[HeaderValueOption]:
    """Fact 7: the endpoint that answered, also after a fallback. An empty value leaves the header out.

    In an answer that Envoy makes up it would be the site tried last: `local_reply` says that nobody answered.
    `unserved` reads the header, and hides it if need be.
    """
    site = overwrite(GEO_SITE, f"%UPSTREAM_METADATA({GEO_METADATA}:site)%")
    if settings.envoy.response_headers:
        return [site, overwrite(GEO_REASON, f"%REQ({GEO_REASON})%")]
    return [site] if settings.envoy.fallback == "priorities" else []


def _issuer(settings: Settings) -> list[Route]:
    issuer = settings.sites.issuer
    if issuer is None:
        return []
    return [
        Route(
            name="issuer",
            match=RouteMatch(path=JWT_AUTH),
            route=_to(ISSUER, issuer),
            request_headers_to_add=_forwarded_host(settings, issuer),
            typed_per_filter_config=past_the_processor(),
        )
    ]


def _promoted(settings: Settings) -> list[Route]:
    """Envoy's own knowledge of the role, for what no processor saw, or a worker that has not heard of it yet."""
    fraction = RuntimeFractionalPercent(default_value=FractionalPercent(numerator=0), runtime_key=PROMOTED_KEY)
    return [
        _to_local(
            settings,
            "promoted-read",
            RouteMatch(prefix="/", runtime_fraction=fraction, headers=[match.method("GET", "HEAD")]),
            retry.again(),
        ),
        _to_local(settings, "promoted", RouteMatch(prefix="/", runtime_fraction=fraction)),
    ]


def _local(settings: Settings) -> list[Route]:
    local = match.is_value(GEO_ROUTE, LOCAL)
    reads = RouteMatch(prefix="/", headers=[local, match.method("GET", "HEAD")])
    return [
        _to_local(settings, "local-read", reads, retry.again()),
        _to_local(settings, "local", RouteMatch(prefix="/", headers=[local])),
    ]


def _to_local(settings: Settings, name: str, matches: RouteMatch, retry_policy: RetryPolicy | None = None) -> Route:
    action = _to(LOCAL, settings.sites.secondary)
    action.retry_policy = retry_policy
    return Route(
        name=name,
        match=matches,
        route=action,
        request_headers_to_add=_forwarded_host(settings, settings.sites.secondary),
    )


def _read_with_a_body(settings: Settings) -> Route:
    """By its length: of one in chunks nothing is left in the head that is matched, and HTTP/2 need not tell of it."""
    announced = [match.is_value(GEO_ROUTE, SECONDARY), match.method("GET", "HEAD"), match.has_length()]
    return _primary_route(settings, "read-with-a-body", RouteMatch(prefix="/", headers=announced))


def _secondary_first(settings: Settings) -> Route:
    return _two_sites(settings, "secondary-first", SECONDARY, SECONDARY_FIRST, retry.fall_back(settings.envoy))


def _primary_then_secondary(settings: Settings) -> Route:
    return _two_sites(
        settings,
        "primary-then-secondary",
        IF_PRIMARY_FAILS,
        PRIMARY_THEN_SECONDARY,
        retry.only_if_it_fails(settings.envoy),
    )


def _two_sites(settings: Settings, name: str, steering: str, cluster: str, again: RetryPolicy) -> Route:
    sites = settings.sites
    route = Route(
        name=name,
        match=RouteMatch(prefix="/", headers=[match.is_value(GEO_ROUTE, steering), match.method("GET", "HEAD")]),
        route=RouteAction(
            cluster=cluster,
            timeout=UNBOUNDED,
            retry_policy=again,
            # The per-try timeout would also end a primary that is slow, which by itself would have answered.
            # Hedged, it only starts the other site's attempt; the first good answer counts.
            hedge_policy=HedgePolicy(hedge_on_per_try_timeout=True),
        ),
        request_headers_to_add=_forwarded_host(settings, sites.primary, sites.secondary),
    )
    if own_hosts(sites) and route.route is not None:
        # Rewritten for each attempt, to what the endpoint is called (`endpoints.of_site`).
        route.route.auto_host_rewrite = True
    return route


def _seen_change(settings: Settings) -> Route:
    return _primary_route(
        settings,
        "write",
        RouteMatch(
            safe_regex=RegexMatcher(regex=match.CHANGE),
            headers=[match.is_value(GEO_ROUTE, PRIMARY), match.method("PUT", "DELETE")],
        ),
        max_stream_duration=settings.policy.write_timeout,
    )


def _seen_read(settings: Settings) -> Route:
    route = _primary_route(
        settings,
        "primary-read",
        RouteMatch(prefix="/", headers=[match.present(GEO_ROUTE), match.method("GET", "HEAD")]),
    )
    if route.route is not None:
        route.route.retry_policy = retry.again()
    return route


def _seen(settings: Settings) -> Route:
    return _primary_route(settings, "primary", RouteMatch(prefix="/", headers=[match.present(GEO_ROUTE)]))


def _unreadable_writes(settings: Settings) -> list[Route]:
    unseen_write = [match.absent(GEO_ROUTE), match.is_write()]

    def refuse(name: str, regex: str) -> Route:
        return Route(
            name=name,
            match=RouteMatch(safe_regex=RegexMatcher(regex=regex), headers=unseen_write),
            direct_response=local_reply.name_invalid(),
            response_headers_to_add=_said_here(settings, "name-invalid"),
        )

    start = RouteMatch(safe_regex=RegexMatcher(regex=match.UPLOAD_START), headers=unseen_write)
    return [
        refuse("unseen-unreadable", match.NOT_CANONICAL),
        _primary_route(settings, "unseen-upload", start),
        refuse("unseen-trailing-slash", match.TRAILING_SLASH),
    ]


def _unseen_delete(settings: Settings) -> Route:
    return Route(
        name="unseen-delete",
        match=RouteMatch(
            safe_regex=RegexMatcher(regex=match.DELETE_BY_DIGEST),
            headers=[match.absent(GEO_ROUTE), match.method("DELETE")],
        ),
        direct_response=local_reply.unrecorded(),
        # As the processor answers where it cannot record a deletion.
        response_headers_to_add=[*_said_here(settings, "evidence-unavailable"), overwrite("retry-after", "1")],
    )


def _said_here(settings: Settings, reason: str) -> list[HeaderValueOption]:
    said = [overwrite("content-type", "application/json"), local_reply.api_version()]
    return [*said, overwrite(GEO_REASON, reason)] if settings.envoy.response_headers else said


def _unseen_change(settings: Settings) -> Route:
    route = _primary_route(
        settings,
        "unseen-write",
        RouteMatch(
            safe_regex=RegexMatcher(regex=match.CHANGE),
            headers=[match.absent(GEO_ROUTE), match.method("PUT", "DELETE")],
        ),
        max_stream_duration=settings.policy.write_timeout,
    )
    if route.route is not None:
        route.route.request_mirror_policies = [
            # The admin server needs the method and the path. The token is none of its business.
            RouteActionRequestMirrorPolicy(
                cluster=ADMIN, request_headers_mutations=[remove("authorization"), remove("cookie")]
            )
        ]
    return route


def _unseen(settings: Settings) -> Route:
    return _primary_route(settings, "unseen", RouteMatch(prefix="/"))


def _primary_route(
    settings: Settings, name: str, matches: RouteMatch, *, max_stream_duration: float | None = None
) -> Route:
    action = _to(PRIMARY, settings.sites.primary)
    if max_stream_duration is not None:
        # A route's `timeout` starts when the body is complete; this counts from the start.
        action.max_stream_duration = RouteActionMaxStreamDuration(max_stream_duration=seconds(max_stream_duration))
    return Route(
        name=name,
        match=matches,
        route=action,
        request_headers_to_add=_forwarded_host(settings, settings.sites.primary),
    )


def _to(cluster: str, site: Site) -> RouteAction:
    action = RouteAction(cluster=cluster, timeout=UNBOUNDED)
    if site.host:
        action.host_rewrite_literal = site.host
    return action


def _forwarded_host(settings: Settings, *sites: Site) -> list[HeaderValueOption]:
    """Where the Host changes, a registry needs the client's to build `Location`."""
    if not any(site.host for site in sites):
        return []
    keep = add_if_absent if settings.envoy.xff_num_trusted_hops else overwrite
    return [keep("x-forwarded-host", "%REQ(:AUTHORITY)%")]
