"""Everybody's clock against ours: tokens and leases are dated.

An HTTP date has whole seconds, and an answer is on its way for a while: what that can explain is no difference.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from extproc.doctor.finding import Finding, fault, ok, unknown, warning
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Peer, Reply, Unreachable
from extproc.doctor.redis_servers import OWN_NAME, NotRedis, open_servers, time_of
from extproc.doctor.tokens import Issued, NoToken
from extproc.evidence.store import StoreUnavailable

WARNING: Final = 5.0
"""Seconds."""
_OWN_SCOPE: Final = (f"repository:{OWN_NAME}:pull",)
"""A token that no other check asks for: when it was made is when we asked."""


@dataclass(frozen=True, slots=True)
class Skew:
    """How far a clock is ahead of ours, in seconds: somewhere in `seconds` ± `blur`."""

    seconds: float
    blur: float

    @property
    def certain(self) -> float:
        """At least so far, ahead or behind."""
        return max(abs(self.seconds) - self.blur, 0.0)

    @classmethod
    def between(cls, told: float, precision: float, asked: float, answered: float) -> Skew:
        """`told`: their time, cut to `precision` seconds, at some instant between `asked` and `answered`."""
        return cls(
            told + precision / 2 - (asked + answered) / 2,
            (precision + answered - asked) / 2,
        )


async def clock(at: Installation) -> AsyncGenerator[Finding, None]:
    """`Date` of both registries and the issuer, `iat` of a token, Redis TIME."""
    leeway = at.settings.auth.leeway
    asked: list[tuple[str, Peer, str]] = [("primary", at.primary, "/v2/"), ("secondary", at.secondary, "/v2/")]
    if at.issuer is not None:
        asked.append(("issuer", at.issuer, at.token_endpoint))
    for subject, peer, target in asked:
        try:
            reply = await peer.ask("GET", target)
        except Unreachable as error:
            yield unknown(subject, f"its clock cannot be read: {error}", "see the other findings about it")
            continue
        skew = of_date(reply)
        if skew is None:
            yield unknown(subject, f"{peer} answers without a Date", "compare its clock with ours by hand")
        else:
            yield judged(subject, skew, leeway)
    if at.issuer is not None:
        async for finding in _of_token(at, leeway):
            yield finding
    async for finding in _of_redis(at, leeway):
        yield finding


def judged(subject: str, skew: Skew, leeway: float) -> Finding:
    """`leeway`: `auth.leeway`, seconds."""
    direction = "ahead of" if skew.seconds > 0 else "behind"
    text = f"its clock is {abs(skew.seconds):.1f} s {direction} ours"
    remedy = "let NTP set the clocks of both machines"
    if skew.certain > leeway:
        return fault(subject, f"{text}, more than auth.leeway, {leeway:g} s", remedy)
    if skew.certain > WARNING:
        return warning(subject, text, remedy)
    return ok(subject, "its clock is ours" if skew.certain == 0 else text)


def of_date(reply: Reply) -> Skew | None:
    """None without a date that can be read."""
    try:
        told = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return Skew.between(told, 1.0, reply.asked, reply.answered)


def of_token(token: Issued) -> Skew | None:
    """None without `iat`, and for a token whose birth is not known."""
    iat = token.claims.get("iat")
    if not token.fresh or isinstance(iat, bool) or not isinstance(iat, int | float):
        return None
    return Skew.between(float(iat), 1.0, token.asked, token.answered)


async def _of_token(at: Installation, leeway: float) -> AsyncGenerator[Finding, None]:
    try:
        token = await at.tokens.token(_OWN_SCOPE)
    except NoToken as error:
        yield error.missed("token")
        return
    skew = of_token(token)
    if skew is not None:
        yield judged("token", skew, leeway)


async def _of_redis(at: Installation, leeway: float) -> AsyncGenerator[Finding, None]:
    try:
        async with open_servers(at.settings) as servers:
            for server in servers:
                await time_of(server)  # it may have to connect
                asked = time.time()
                told = await time_of(server)
                skew = Skew.between(told, 0.0, asked, time.time())
                yield judged("store", skew, leeway)
    except NotRedis:
        return
    except StoreUnavailable as error:
        yield unknown("store", f"its clock cannot be read: {error}", "see the other findings about it")
