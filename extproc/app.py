"""The composition root: what is built from the settings, and in which order it starts, drains and closes.

`Parts` belongs to every process; `Worker` is one ext_proc endpoint. With `memory://` both live in one process
(`serve_alone`); with a shared store the supervisor runs N of `serve_worker` (supervisor.py).
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog

from extproc.admin.server import AdminServer, Health
from extproc.admin.unseen import UnseenWrites
from extproc.auth.challenge import Challenge
from extproc.auth.keys import KeySet
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.redis import connect
from extproc.evidence.store import Store
from extproc.processor.stream import Stream
from extproc.routing.policy import Policy
from extproc.routing.router import MARK_MARGIN, Router
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.recorder import DecisionRecorder
from extproc.telemetry.setup import Telemetry, build_telemetry, configure_log
from extproc.transport.grpcio import GrpcioServer

log = structlog.get_logger()


@dataclass(slots=True)
class Parts:
    """What a process of ours has, worker or supervisor: telemetry, the guarded store, and what it did not take."""

    settings: Settings
    telemetry: Telemetry
    store: GuardedStore
    backlog: Backlog
    store_ok: bool = True

    def unseen_writes(self) -> UnseenWrites:
        return UnseenWrites(self.backlog, self.settings.policy.write_timeout + MARK_MARGIN)


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Build, and close in reverse. Every lease from before this moment is void, as soon as the store takes it."""
    configure_log(settings.telemetry.log_level, settings.telemetry.log_format)
    telemetry = build_telemetry(settings.telemetry.exporter, settings.telemetry.trace_ratio)
    changes = telemetry.meter.create_counter(names.STORE_CHANGES, unit="{change}")
    store = build_store(settings)
    parts: Parts

    def on_change(available: bool, detail: str) -> None:
        parts.store_ok = available
        changes.add(1, {names.STORE_AVAILABLE: available})
        if available:
            log.info("store available again: reads are decided on evidence", store=settings.store.url)
        else:
            log.error("store unavailable: reads go to the primary", detail=detail)

    budget = settings.store.budget
    guarded = GuardedStore(
        store,
        budget=budget,
        breaker=Breaker(failures=settings.store.breaker_failures, pause=settings.store.breaker_pause),
        on_change=on_change,
    )
    # Invalidations never wait for a breaker: while it is open here, another worker may reach the store and
    # serve what this write makes untrue.
    always = GuardedStore(store, budget=budget, breaker=Breaker(failures=sys.maxsize, pause=0))
    parts = Parts(settings, telemetry, guarded, Backlog(always, start_voided=True))
    retrying = asyncio.create_task(parts.backlog.run())
    try:
        yield parts
    finally:
        retrying.cancel()
        with suppress(asyncio.CancelledError):
            await retrying
        await store.close()
        telemetry.close()


def build_store(settings: Settings) -> Store:
    """The store that the settings name, unguarded. Raises SettingsError for an unreadable secret."""
    if settings.store.url == "memory://":
        return MemoryStore(absent_ttl=settings.policy.absent_ttl)
    return connect(settings.store, absent_ttl=settings.policy.absent_ttl)


def build_verifier(settings: Settings) -> TokenVerifier | None:
    """None for passthrough. Raises auth.keys.KeysInvalid."""
    auth = settings.auth
    if auth.mode == "passthrough":
        return None
    return TokenVerifier(
        KeySet.load(auth.keys),
        issuer=auth.issuer,
        audience=auth.service,
        leeway=auth.leeway,
        cache_size=auth.cache_size,
    )


def build_policy(settings: Settings) -> Policy:
    policy = settings.policy
    return Policy(
        max_staleness=policy.max_staleness,
        unknown_digests_local=policy.unknown_digests == "secondary",
        present_recheck=policy.present_recheck,
        write_timeout=policy.write_timeout,
    )


def build_server(parts: Parts, number: int) -> GrpcioServer:
    """Worker `number`'s endpoint, not yet listening."""
    settings = parts.settings
    router = Router(
        verifier=build_verifier(settings),
        facts=parts.store,
        writes=parts.backlog,
        policy=build_policy(settings),
        now=time.time,
    )
    recorder = DecisionRecorder(parts.telemetry.tracer, parts.telemetry.meter)
    new_stream = partial(Stream, router, Challenge(settings.auth.realm, settings.auth.service), recorder)
    return GrpcioServer(
        worker_address(settings, number), new_stream, max_streams=settings.server.max_concurrent_streams
    )


def worker_address(settings: Settings, number: int) -> str:
    """Where worker `number` listens, in grpc's form."""
    if settings.server.address is None:
        return f"unix:{settings.server.socket(number)}"
    address = settings.server.address
    return str(address.model_copy(update={"port": address.port + number}))


async def serve_alone(settings: Settings) -> None:
    """One process: the only worker, and the admin server with it."""
    async with open_parts(settings) as parts:
        server = build_server(parts, 0)
        serving = False

        def health() -> Health:
            return Health(ready=serving, store=_store_word(parts), workers=int(serving))

        admin = AdminServer(settings.admin.address, health, parts.unseen_writes())
        await admin.start()
        try:
            prepare_socket(settings, 0)
            await server.start()
            serving = True
            log.info("serving", worker=0, address=worker_address(settings, 0))
            await stop_requested()
            serving = False
            await drain(server, settings)
        finally:
            await admin.stop()


async def serve_worker(
    settings: Settings, number: int, ready: Callable[[], None], orphaned: Awaitable[object]
) -> None:
    """One worker process of a supervisor: tells it when it serves, and ends when told or orphaned."""
    async with open_parts(settings) as parts:
        structlog.contextvars.bind_contextvars(worker=number)
        server = build_server(parts, number)
        prepare_socket(settings, number)
        await server.start()
        ready()
        log.info("serving", address=worker_address(settings, number))
        stopping = asyncio.ensure_future(stop_requested())
        parent = asyncio.ensure_future(orphaned)
        await asyncio.wait({stopping, parent}, return_when=asyncio.FIRST_COMPLETED)
        await drain(server, settings)


def prepare_socket(settings: Settings, number: int) -> None:
    """The socket's directory, for the owner alone; a socket left by a killed worker goes."""
    if settings.server.address is None:
        settings.server.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.server.socket(number).unlink(missing_ok=True)


async def drain(server: GrpcioServer, settings: Settings) -> None:
    """First out of Envoy's rotation, then no new streams, then the end: no request fails."""
    log.info("draining", seconds=settings.server.drain)
    await server.announce_drain()
    await asyncio.sleep(settings.server.drain)
    await server.stop(grace=settings.server.drain)


async def stop_requested() -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def _store_word(parts: Parts) -> str:
    return "ok" if parts.store_ok else "degraded"
