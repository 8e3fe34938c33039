"""Both registries judge tokens themselves: ours comes on top, for whatever of ours fails lets requests pass."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from extproc.doctor.finding import Finding, fault, ok, warning
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Peer, Reply, Unreachable
from extproc.doctor.tokens import NoToken
from extproc.registry.challenge import parse_challenges
from extproc.settings import Auth

_KEEP_CHECKING: Final = "configure its token authentication (auth.token): whoever reaches it may read everything"
_START: Final = "start it, or correct its url in [sites]"


async def registry_auth(at: Installation) -> AsyncGenerator[Finding, None]:
    """GET /v2/ without a token, and with one whose signature is broken."""
    if at.settings.auth.mode == "passthrough":
        yield ok("token", 'auth.mode is "passthrough": what the registries ask for is theirs to say')
        return
    try:
        broken = (await at.tokens.token()).broken()
    except NoToken:
        broken = _made_up(at.settings.auth)
    for subject, peer in (("primary", at.primary), ("secondary", at.secondary)):
        try:
            without = await peer.ask("GET", "/v2/")
            forged = await peer.ask("GET", "/v2/", [("Authorization", f"Bearer {broken}")])
        except Unreachable as error:
            yield at.away(subject, error, _START)
            continue
        findings = [*judged(subject, peer, without, at.settings.auth), *_forged(subject, peer, forged)]
        for finding in findings:
            yield finding
        if not findings:
            yield ok(subject, f"{peer} asks for a token, as set here, and refuses a forged one")


def judged(subject: str, peer: Peer, reply: Reply, auth: Auth) -> Iterator[Finding]:
    """What is wrong with an answer to a request without a token."""
    if reply.status == 200:
        yield fault(subject, f"{peer} answers without a token", _KEEP_CHECKING)
        return
    if reply.status != 401:
        yield fault(
            subject,
            f"{peer} answers {reply.status} to GET /v2/ without a token, not 401",
            "see whether that is the registry, and its log",
        )
        return
    challenges = parse_challenges(reply.headers.getall("WWW-Authenticate", []))
    bearer = next((each for each in challenges if each.scheme == "bearer"), None)
    if bearer is None:
        yield fault(
            subject,
            f"{peer} asks for no token (Bearer) but {challenges[0].scheme if challenges else 'nothing known'}",
            'configure its token authentication, or set auth.mode = "passthrough" here if that is right',
        )
        return
    realm, service = (bearer.parameters.get(name, "")[:200] for name in ("realm", "service"))
    if service != auth.service:
        yield fault(
            subject,
            f"{peer} asks for tokens of the service {service!r}, auth.service is {auth.service!r}",
            "make them the same: a token is for one service",
        )
    if realm != auth.realm:
        yield warning(
            subject,
            f"{peer} sends clients to {realm!r} for tokens, auth.realm is {auth.realm!r}",
            "make them the same, or see that both are endpoints of one issuer: while no processor runs, clients get "
            "the registry's own",
        )


def _forged(subject: str, peer: Peer, reply: Reply) -> Iterator[Finding]:
    if reply.status == 200:
        yield fault(subject, f"{peer} accepts a token with a broken signature", _KEEP_CHECKING)
    elif reply.status not in (400, 401, 403):
        yield fault(
            subject, f"{peer} answers {reply.status} to a token with a broken signature", "see that registry's log"
        )


def _made_up(auth: Auth) -> str:
    """Signed by nobody."""
    now = int(time.time())
    claims = {"iss": auth.issuer, "aud": auth.service, "nbf": now, "iat": now, "exp": now + 300, "access": []}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT", "kid": "doctor"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, bytes(256)))
