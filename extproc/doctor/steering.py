"""What a client may not say: `x-geo-route` steers, and `x-geo-reason` explains, so a client's own must never count.

A forged header that Envoy keeps shows in three places, and no other: where no processor overwrites it, which is while
none runs; on the route past the processor, whose answers would carry the forged reason; and in Envoy's configuration.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final

from extproc.bootstrap.names import GEO_REASON, GEO_ROUTE, GEO_SITE, GEO_STALE, PROCESSOR_FILTER
from extproc.doctor.finding import Finding, fault, ok, unknown
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Fields, Reply, Unreachable
from extproc.doctor.repository import some_name
from extproc.doctor.tokens import NoToken
from extproc.routing.reason import Reason
from extproc.settings.sites import JWT_AUTH

FORGED: Final = "forged-by-doctor"
_FORGERIES: Final[Mapping[str, Fields]] = {
    "once": ((GEO_ROUTE, "secondary"), (GEO_REASON, FORGED), (GEO_SITE, FORGED)),
    "twice": ((GEO_ROUTE, "secondary"), (GEO_ROUTE, "secondary"), (GEO_REASON, FORGED), (GEO_REASON, FORGED)),
    "in mixed case": (("X-Geo-Route", "secondary"), ("X-GEO-REASON", FORGED), ("x-Geo-Site", FORGED)),
}
_REFUSED: Final = frozenset(
    reason.value
    for reason in (Reason.TOKEN_MISSING, Reason.TOKEN_EXPIRED, Reason.TOKEN_INVALID, Reason.SCOPE_INSUFFICIENT)
)
_STRIP: Final = (
    "render Envoy's configuration again and restart it: early_header_mutation_extensions must remove x-geo-route, "
    "x-geo-reason, x-geo-site and x-geo-stale (docs/envoy.md)"
)


async def steering(at: Installation) -> AsyncGenerator[Finding, None]:
    """A listing, which must be the primary's to answer, plainly and with forged headers."""
    async for finding in _configured(at):
        yield finding
    if not at.settings.envoy.response_headers:
        yield unknown(
            "answers",
            "envoy.response_headers is off: answers do not tell who gave them",
            "see the finding about the configuration, or switch them on for a while",
        )
        return
    try:
        if at.settings.sites.issuer is not None:
            past = await at.gateway.ask("GET", at.token_endpoint.partition("?")[0] or JWT_AUTH, _FORGERIES["once"])
            yield judged_past(past)
        async for finding in _listing(at):
            yield finding
    except Unreachable as error:
        yield unknown("answers", f"nothing can be seen of its answers: {error}", "see the other findings about it")


async def _configured(at: Installation) -> AsyncGenerator[Finding, None]:
    try:
        dump = await at.envoy_document("/config_dump")
    except Unreachable as error:
        yield unknown("config", str(error), "run this where envoy.admin is reachable, or correct it")
        return
    yield judged_config(dump)


async def _listing(at: Installation) -> AsyncGenerator[Finding, None]:
    """Raises Unreachable."""
    name = await some_name(at)
    target, scope = "/v2/_catalog?n=1", "registry:catalog:*"
    if name is not None:
        target, scope = f"/v2/{name}/tags/list?n=1", f"repository:{name}:pull"
    bearer: Fields = ()
    try:
        bearer = [("Authorization", f"Bearer {(await at.tokens.token((scope,))).value}")]
    except NoToken as error:
        if at.settings.auth.mode == "token":
            yield error.missed("decision")
            return
    plain = await at.gateway.ask("GET", target, bearer)
    yield judged_decision(plain)
    for how, forgery in _FORGERIES.items():
        for finding in judged_forgery(how, await at.gateway.ask("GET", target, [*bearer, *forgery])):
            yield finding
    yield ok("answers", f"{target.partition('?')[0]} was asked with forged headers {', '.join(_FORGERIES)}")


def judged_decision(reply: Reply) -> Finding:
    """An answer to a listing with a token, nothing forged."""
    site, reason = reply.headers.get(GEO_SITE, ""), reply.headers.get(GEO_REASON, "")
    if not reason:
        return fault(
            "decision",
            f"the answer through the gateway carries no reason (site {site or 'none'}, {reply.status}): no processor "
            "decided on it, so all goes to the primary",
            "see the findings about the processor, and whether Envoy's filter ext_proc reaches it",
        )
    if reason in _REFUSED:
        return unknown(
            "decision",
            f"the processor refuses our token for a listing as {reason}",
            "give --repository with a name that the account may pull",
        )
    if reason == Reason.TOKEN_UNVERIFIABLE.value:
        return fault(
            "decision",
            "the processor that runs does not know the key of our token",
            "see token-keys, and what /readyz says of keys and configuration",
        )
    if site != "primary":
        who = "neither registry" if site in ("", "none") else site
        return fault(
            "decision",
            f"a listing was answered by {who} for {reason} ({reply.status}), not by the primary",
            "see the finding about Envoy's configuration, and whether the primary answers",
        )
    return ok("decision", f"a listing through the gateway is the primary's to answer, for {reason}")


def judged_forgery(how: str, reply: Reply) -> Iterator[Finding]:
    """An answer to the same with forged headers."""
    site, reason = reply.headers.getall(GEO_SITE, []), reply.headers.getall(GEO_REASON, [])
    if "secondary" in site:
        yield fault("answers", f"a forged {GEO_ROUTE}, sent {how}, steered a listing to the secondary", _STRIP)
    if FORGED in reason or FORGED in site:
        yield fault("answers", f"a forged {GEO_REASON} or {GEO_SITE}, sent {how}, came back", _STRIP)


def judged_past(reply: Reply) -> Finding:
    """An answer of the route past the processor."""
    if FORGED in reply.headers.getall(GEO_REASON, []):
        return fault(
            "past", f"a forged {GEO_REASON} came back from {JWT_AUTH}: clients' steering headers count", _STRIP
        )
    return ok("past", f"a forged {GEO_REASON} does not come back from {JWT_AUTH}, where no processor replaces it")


def judged_config(dump: Mapping[str, Any]) -> Finding:
    """Every connection manager with our filter removes all four before the first route is chosen."""
    managers = [each for each in _managers(dump) if _has_processor(each)]
    if not managers:
        return unknown(
            "config",
            "Envoy's configuration shows no connection manager with the filter ext_proc",
            "see whether envoy.admin is the right Envoy's",
        )
    for manager in managers:
        missing = {GEO_ROUTE, GEO_REASON, GEO_SITE, GEO_STALE} - set(_removed(manager))
        if missing:
            return fault("config", f"Envoy lets clients send {', '.join(sorted(missing))}", _STRIP)
    return ok("config", "Envoy removes clients' steering headers before it chooses a route")


def _managers(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if str(value.get("@type", "")).endswith(".HttpConnectionManager"):
            yield value
        for inner in value.values():
            yield from _managers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _managers(inner)


def _has_processor(manager: Mapping[str, Any]) -> bool:
    return any(
        each.get("name") == PROCESSOR_FILTER
        or str((each.get("typed_config") or {}).get("@type", "")).endswith(".ExternalProcessor")
        for each in manager.get("http_filters", [])
    )


def _removed(manager: Mapping[str, Any]) -> Iterator[str]:
    for extension in manager.get("early_header_mutation_extensions", []):
        for mutation in (extension.get("typed_config") or {}).get("mutations", []):
            if isinstance(name := mutation.get("remove"), str):
                yield name.lower()
