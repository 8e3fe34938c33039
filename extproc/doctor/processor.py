"""The processor: ready, all workers there, and its sockets for Envoy alone."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from extproc.doctor.finding import Finding, State, fault, ok, unknown, warning
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Unreachable
from extproc.settings import Server

_READ = "see its log, and docs/operations.md"


async def processor(at: Installation) -> AsyncGenerator[Finding, None]:
    """`/readyz`, and the files of the sockets."""
    try:
        reply = await at.admin.ask("GET", "/readyz")
    except Unreachable as error:
        yield fault(
            "ready",
            f"{error}: every request goes to the primary, and unseen writes are not noticed",
            "start geo-extproc serve, or correct admin.address",
        )
    else:
        for finding in judged_ready(reply.document(), reply.status, at.settings.server.workers):
            yield finding
    for finding in sockets(at.settings.server):
        yield finding


def judged_ready(document: Any, status: int, workers: int) -> Iterator[Finding]:
    """`workers`: `server.workers`."""
    if not isinstance(document, dict) or "ready" not in document:
        yield fault(
            "ready", f"what answers at admin.address is no geo-extproc serve ({status})", "correct admin.address"
        )
        return
    if not document["ready"]:
        yield fault("ready", "the processor is not ready: every request goes to the primary", _READ)
    if document.get("store") != "ok":
        yield fault(
            "store",
            f"the processor's store is {document.get('store')}: every read goes to the primary",
            "see the findings about the store",
        )
    serving = document.get("workers")
    if serving != workers:
        yield fault(
            "workers",
            f"{serving} of {workers} workers serve",
            "see the log for why workers end; where server.workers was changed, restart",
        )
    words = {name: str(document.get(name, "ok")) for name in ("keys", "configuration")}
    if words["keys"] != "ok":
        # "stale" still holds the last good set, for `auth.keys_max_age`.
        state = State.WARNING if words["keys"].startswith("stale") else State.FAULT
        remedy = "see that auth.keys_url can be reached from its machine"
        yield Finding("keys", state, f"the processor's keys: {words['keys']}", remedy)
    if words["configuration"] != "ok":
        yield warning(
            "configuration",
            f"what runs is not what the settings say: {words['configuration']}",
            _in_force(words["configuration"]),
        )
    if document["ready"] and serving == workers and {document.get("store"), *words.values()} == {"ok"}:
        yield ok("ready", f"it is ready, with {workers} worker{'' if workers == 1 else 's'} and its store")


def _in_force(word: str) -> str:
    """What helps where `/readyz` says `word` of the configuration."""
    if word.startswith("broken"):
        return "correct it; until then do not restart: nothing would start"
    return "restart the processor, or take the change back" if word.startswith("restart needed") else _READ


def sockets(server: Server) -> Iterator[Finding]:
    """Who may connect may decide on requests; who may write to the folder may take a socket's place."""
    if server.address is not None:
        if server.address.is_ip and ipaddress.ip_address(server.address.host).is_loopback:
            yield ok("sockets", f"workers listen on {server.address}, for this machine alone")
        else:
            yield unknown(
                "sockets",
                f"workers listen on {server.address}, in plain text: who can reach it cannot be seen from here",
                "see that only Envoy can: a network policy, or the mesh's own encryption",
            )
        return
    open_ = []
    for place in (server.socket_dir, *map(server.socket, range(server.workers))):
        try:
            mode = place.stat().st_mode
        except OSError as error:
            yield unknown("sockets", f"{place} cannot be looked at: {error.strerror}", _beside(error, place))
            return
        if mode & stat.S_IWOTH:
            open_.append(f"{place} ({stat.S_IMODE(mode):04o})")
    if open_:
        yield fault(
            "sockets",
            f"everybody on this machine may write to {', '.join(open_)}: who can connect decides on requests",
            f"chmod o-w, and keep {server.socket_dir} at 0700 for the user of both programs, or at 0750 with "
            'server.socket_access = "group"',
        )
    else:
        yield ok("sockets", f"not everybody may write to the sockets in {server.socket_dir}")


def _beside(error: OSError, place: Path) -> str:
    if isinstance(error, PermissionError):
        return f"run this as the processor's user, who may look into {place.parent}"
    return "run this on the processor's machine, or start the processor"
