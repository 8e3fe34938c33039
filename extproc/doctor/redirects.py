"""Where the secondary sends who reads a blob: its storage must be there for clients, for no fallback follows them.

A redirect is an answer: Envoy passes it on, and the client goes on alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from yarl import URL

from extproc.doctor.finding import Finding, fault, ok, unknown, warning
from extproc.doctor.installation import REQUESTS_IN_A_CHECK, Installation
from extproc.doctor.peer import Peer, Reply, Unreachable
from extproc.doctor.repository import some_blob
from extproc.doctor.tokens import NoToken
from extproc.registry.error import RegistryError
from extproc.registry.session import open_session

_ONE_BYTE = ("Range", "bytes=0-0")
_OWN_BYTES = "let the registry send its blobs itself (storage.redirect.disable: true)"
_ASK_ABOUT = "give --repository with the name of one that has been replicated"


async def redirects(at: Installation) -> AsyncGenerator[Finding, None]:
    """One byte of an existing blob of the secondary's, and of where it sends us."""
    try:
        found = await some_blob(at, at.secondary)
    except RegistryError as error:
        yield unknown("blob", f"no blob could be looked for: {error}", _ASK_ABOUT)
        return
    if found is None:
        yield unknown("blob", "no blob of the secondary's was found to read", _ASK_ABOUT)
        return
    name, digest = found
    fields = [_ONE_BYTE]
    if at.settings.auth.mode == "token":
        try:
            token = await at.tokens.token((f"repository:{name}:pull",))
        except NoToken as error:
            yield error.missed("blob")
            return
        fields.append(("Authorization", f"Bearer {token.value}"))
    try:
        reply = await at.secondary.ask("GET", f"/v2/{name}/blobs/{digest}", fields, largest=1)
    except Unreachable as error:
        yield fault("blob", str(error), "start it, or correct sites.secondary.url")
        return
    if reply.status in (200, 206):
        yield ok("blob", f"the secondary sends blobs itself ({name})")
    elif reply.status in (301, 302, 303, 307, 308):
        yield await _followed(at, reply)
    else:
        yield unknown("blob", f"the secondary answers {reply.status} to a blob of {name}", _ASK_ABOUT)


async def _followed(at: Installation, reply: Reply) -> Finding:
    try:
        location = URL(at.secondary.url).join(URL(reply.headers.get("Location", ""), encoded=True))
        # The query is a signature: it goes there, and into no message.
        origin = str(location.origin())
    except ValueError:
        return fault("blob", "the secondary redirects a blob to something that is no URL", _OWN_BYTES)
    if location.scheme not in ("http", "https"):
        return fault("blob", f"the secondary redirects blobs to {location.scheme}, not http", _OWN_BYTES)
    timeout = at.wishes.timeout / REQUESTS_IN_A_CHECK
    site = at.settings.sites.secondary
    # Storage behind the registry's own name has its certificate; any other is judged as a client would.
    ca = site.ca if location.host == site.endpoint.host else None
    storage = Peer("its storage", origin, lambda: open_session(origin, ca), timeout=timeout)
    try:
        there = await storage.ask("GET", location.raw_path_qs, [_ONE_BYTE], largest=1)
    except Unreachable as error:
        return fault(
            "blob",
            f"the secondary redirects readers of blobs, and {error}",
            f"make it reachable for every client of this site, or {_OWN_BYTES}",
        )
    finally:
        await storage.close()
    if there.status >= 400:
        return fault(
            "blob",
            f"the secondary redirects readers of blobs to {origin}, which answers {there.status}",
            f"see the registry's storage settings and clocks, or {_OWN_BYTES}",
        )
    return warning(
        "blob",
        f"the secondary redirects readers of blobs to {origin}, which answers here; whether it does for every client "
        "cannot be seen from here",
        f"see from a client that it can reach {origin}, then give --ignore redirects; or {_OWN_BYTES}",
    )
