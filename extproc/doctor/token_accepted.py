"""One token at all three doors: the edge and both registries hold the same key."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from extproc.doctor.finding import Finding, fault, ok
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Unreachable
from extproc.doctor.tokens import NoToken
from extproc.routing.reason import Reason

_UNVERIFIED = Reason.TOKEN_UNVERIFIABLE.value


async def token_accepted(at: Installation) -> AsyncGenerator[Finding, None]:
    """GET /v2/ with a token of the issuer's, at each site itself and through the gateway."""
    if at.settings.auth.mode == "passthrough":
        yield ok("token", 'auth.mode is "passthrough": there are no tokens to accept')
        return
    try:
        token = await at.tokens.token()
    except NoToken as error:
        yield error.missed("token")
        return
    for subject, peer in (("primary", at.primary), ("secondary", at.secondary), ("gateway", at.gateway)):
        try:
            reply = await peer.ask("GET", "/v2/", [("Authorization", f"Bearer {token.value}")])
        except Unreachable as error:
            yield at.away(subject, error, "start it, or correct its address in the settings or in --url")
            continue
        if reply.headers.get("x-geo-reason") == _UNVERIFIED:
            yield fault(
                subject,
                "the processor that runs does not know the key of a token that the issuer gives now",
                "see what auth.keys and auth.keys_url give on its machine, and what /readyz says of them",
            )
        elif reply.status == 200:
            yield ok(subject, f"{peer} accepts the issuer's token")
        elif reply.status in (401, 403):
            yield fault(
                subject,
                f"{peer} refuses the token that the issuer gives ({reply.status}): it holds another key, issuer or "
                "service",
                "give it the issuer's present key (rootcertbundle of auth.token), issuer and service"
                if subject != "gateway"
                else "see token-keys; where that is good, the processor has older settings: restart it",
            )
        else:
            yield fault(subject, f"{peer} answers {reply.status} to GET /v2/ with a token", "see that registry's log")
