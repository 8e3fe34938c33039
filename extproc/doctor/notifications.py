"""What the registries tell: whether it is taken here, and whether any of it arrives.

What a registry is configured to send cannot be read from outside, so the remedy is what its configuration needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final

from extproc.build import build_store
from extproc.doctor.finding import Finding, fault, ok, unknown, warning
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Reply, Unreachable
from extproc.evidence.store import StoreUnavailable
from extproc.settings import Settings, SettingsError
from extproc.status.reports import Reports
from extproc.status.serving import ask_serving

_EMPTY: Final = b'{"events":[]}'
_TYPE: Final = ("Content-Type", "application/vnd.docker.distribution.events.v2+json")
_NAMES: Final = 2000
"""Of the store, read for a push that was followed."""
_SITES: Final = ("primary", "secondary")


async def notifications(at: Installation) -> AsyncGenerator[Finding, None]:
    """An empty envelope to both addresses, without the secret and with it; then what the store knows of pushes."""
    file = at.settings.notifications.secret_file
    if file is None:
        yield warning(
            "secret",
            "notifications.secret_file is not set: no notification is taken, so what is changed or deleted past this "
            "site is noticed late",
            "set it, restart, and let both registries notify (docs/notifications.md)",
        )
    secrets: list[str] = []
    if file is not None:
        try:
            secrets = [line.strip() for line in file.read_text().splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            yield unknown(
                "secret",
                f"notifications.secret_file {str(file)!r} cannot be read: {getattr(error, 'strerror', 'not text')}",
                "run this as a user that may read it, or correct the path",
            )
    if file is not None and not secrets:
        return
    for site in _SITES:
        try:
            without = await _send(at, site)
            tried = [await _send(at, site, secret) for secret in secrets]
        except Unreachable as error:
            yield fault(
                "endpoint", str(error), "start the processor, or correct admin.address: registries are not heard"
            )
            return
        for finding in (*judged_without(site, without), *judged_with(site, tried)):
            yield finding
    if secrets:
        yield await _arrivals(at)


def judged_without(site: str, reply: Reply) -> Iterator[Finding]:
    """An answer to a notification without a secret."""
    if reply.status not in (401, 403):
        yield fault(
            site,
            f"/notifications/{site} answers {reply.status} to a notification without a secret, not 401",
            "see what listens at admin.address: it must be this version's geo-extproc serve",
        )


def judged_with(site: str, replies: list[Reply]) -> Iterator[Finding]:
    """The answers for each line of the secret file."""
    for number, reply in enumerate(replies, 1):
        if reply.status in (401, 403):
            yield fault(
                site,
                f"/notifications/{site} refuses the secret on line {number} of notifications.secret_file "
                f"({reply.status}): the processor that runs has another, or none",
                "restart the processor, or correct the file",
            )
        elif not 200 <= reply.status < 300:
            yield fault(
                site,
                f"/notifications/{site} answers {reply.status} to an empty notification: it is sent again and again",
                "see the findings about the store, and the processor's log",
            )
    if replies and all(200 <= reply.status < 300 for reply in replies):
        yield ok(site, f"/notifications/{site} takes what comes with the secret")


async def _send(at: Installation, site: str, secret: str = "") -> Reply:
    fields = [_TYPE, *([("Authorization", f"Bearer {secret}")] if secret else [])]
    return await at.admin.ask("POST", f"/notifications/{site}", fields, body=_EMPTY)


async def _arrivals(at: Installation) -> Finding:
    try:
        document = await _status(at.settings)
    except (StoreUnavailable, SettingsError) as error:
        return unknown("arrivals", f"the store cannot be asked: {error}", "see the findings about the store")
    return judged_arrivals(document["evidence"], str(at.settings.admin.address))


def judged_arrivals(evidence: Mapping[str, Any] | None, address: str) -> Finding:
    """`evidence`: that of the status document."""
    if evidence is None:
        return unknown("arrivals", "the store tells nothing", "see the findings about the store")
    if evidence["median_lag"] is not None:
        return ok(
            "arrivals",
            f"both registries' arrive: a push was followed from the primary to here, in "
            f"{evidence['median_lag']:.1f} s (median of names)",
        )
    if evidence["awaited"]:
        return warning(
            "arrivals",
            f"the primary's arrive: {evidence['awaited']} manifests were told; no push was ever followed to here, so "
            "replication is far behind, or the secondary's do not arrive",
            snippet("secondary", address),
        )
    return unknown(
        "arrivals",
        "no push was told yet: whether the registries send cannot be seen from here",
        f"push something to the primary and look again; if nothing comes: {snippet('primary', address)}; the same at "
        "the secondary with /notifications/secondary",
    )


def snippet(site: str, address: str) -> str:
    """For a registry's configuration, in one line of YAML."""
    return (
        f"in the {site}'s registry: notifications: {{events: {{includereferences: true}}, endpoints: [{{name: "
        f"geo-extproc, url: 'http://{address}/notifications/{site}', headers: {{Authorization: "
        "['Bearer <secret>']}, timeout: 3s, threshold: 5, backoff: 1s, ignore: {actions: [pull], mediatypes: "
        "[application/x-none]}}]}"
    )


async def _status(settings: Settings) -> Mapping[str, Any]:
    """Raises StoreUnavailable, SettingsError."""
    if settings.store.url == "memory://":
        return await ask_serving(settings.admin, None, _NAMES)
    store = build_store(settings)
    try:
        reports = Reports(store, url=settings.store.public_url, max_staleness=settings.policy.max_staleness)
        return await reports.site(_NAMES)
    finally:
        await asyncio.shield(store.close())
