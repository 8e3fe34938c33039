"""The issuer's tokens against `auth.keys`, `auth.keys_url`, `auth.issuer` and `auth.service`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator

from extproc.auth.grant import Grant
from extproc.auth.keys import KeyDocument, KeySet, KeysInvalid
from extproc.auth.token import TokenVerifier
from extproc.auth.verification_key import ALGORITHMS
from extproc.doctor.finding import Finding, State, fault, ok, unknown
from extproc.doctor.installation import Installation
from extproc.doctor.tokens import Issued, NoToken
from extproc.jwks.fetch import JwksUnavailable, fetch_jwks
from extproc.registry.error import RegistryError
from extproc.registry.session import open_session
from extproc.settings import Settings

_SHOWN = 80


async def token_keys(at: Installation) -> AsyncGenerator[Finding, None]:
    """Would a token of the issuer's pass here?"""
    auth = at.settings.auth
    if auth.mode == "passthrough":
        yield ok("token", 'auth.mode is "passthrough": both registries judge alone, and no key is needed')
        return
    keys = None
    try:
        keys = await _keys(at.settings)
    except (KeysInvalid, JwksUnavailable, RegistryError) as error:
        text, _, remedy = str(error).rpartition(": ")
        yield fault("keys", text, remedy.rstrip("."))
    for skipped in keys.skipped if keys else ():
        yield unknown("keys", f"left out: {skipped}", "give that key in a form that can be used, or remove it")
    try:
        token = await at.tokens.token()
    except NoToken as error:
        yield Finding("token", error.state, str(error), error.remedy)
        return
    for finding in judged(token, keys, at.settings, time.time()):
        yield finding


def judged(token: Issued, keys: KeySet | None, settings: Settings, now: float) -> Iterator[Finding]:
    """What is wrong with `token` for these settings, each thing by itself. `keys`: None where they cannot be read."""
    header, claims, auth = token.header, token.claims, settings.auth
    if not header or not claims:
        yield fault("token", "what the issuer gave is no JWT", "correct auth.realm: it must be the token endpoint")
        return
    algorithm, kid = str(header.get("alg", ""))[:_SHOWN], str(header.get("kid", ""))
    good = True
    if algorithm not in ALGORITHMS:
        good = False
        yield fault(
            "alg", f"tokens are signed by {algorithm!r}, which is never accepted", "let the issuer use RS256 or ES256"
        )
    if not kid:
        good = False
        yield fault("kid", "tokens name no key (kid): each is left to the primary to judge", "let the issuer set it")
    elif keys is None:
        # What runs may still hold those that were read before, and serve.
        good = False
        yield unknown(
            "kid",
            f"whether the key that signs tokens, {kid[:_SHOWN]!r}, is known cannot be seen without auth's keys",
            "see the finding about keys",
        )
    elif keys.find(kid) is None:
        good = False
        place = " and ".join([*map(str, auth.keys), *([auth.keys_url] if auth.keys_url else [])])
        yield fault(
            "kid",
            f"tokens are signed by the key {kid[:_SHOWN]!r}, which is none of those in {place}: each is left to the "
            "primary to judge, and nothing is served from here",
            "add the issuer's present certificate, public key or JWKS to auth.keys",
        )
    for claim, wanted, setting in (("iss", auth.issuer, "auth.issuer"), ("aud", auth.service, "auth.service")):
        found = claims.get(claim)
        if wanted not in (found if isinstance(found, list) else [found]):
            good = False
            yield fault(
                claim, f"tokens have {claim} {str(found)[:_SHOWN]!r}, {setting} is {wanted!r}", f"correct {setting}"
            )
    if not good or keys is None:
        return
    verifier = TokenVerifier(keys, issuer=auth.issuer, audience=auth.service, leeway=auth.leeway)
    verdict = verifier.verify([f"Bearer {token.value}"], now)
    if isinstance(verdict, Grant):
        yield ok(
            "token", f"signed with {algorithm} by a key that is known here, {kid[:_SHOWN]}; iss and aud are as set"
        )
        return
    expired = verdict.name == "EXPIRED" and not token.fresh
    yield Finding(
        "token",
        State.UNKNOWN if expired else State.FAULT,
        f"the token is refused here as {verdict.name.lower()}",
        "give a newer one"
        if expired
        else "see whether the key of that kid is the issuer's own, and whether the clocks agree",
    )


async def _keys(settings: Settings) -> KeySet:
    """As a process that starts now would have them. Raises KeysInvalid, JwksUnavailable, RegistryError."""
    auth = settings.auth
    documents = [KeyDocument.read(path) for path in auth.keys]
    if auth.keys_url:
        session = await open_session(auth.keys_url, auth.keys_ca)
        async with session:
            documents.append(await fetch_jwks(session, auth.keys_url))
    return KeySet.of(documents)
