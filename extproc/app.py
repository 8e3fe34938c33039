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
from itertools import chain, repeat
from typing import Final

import structlog

from extproc.admin.server import AdminServer, Health
from extproc.admin.unseen import UnseenWrites
from extproc.auth.challenge import Challenge
from extproc.auth.keys import KeySet
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import LAST_PAUSE, Backlog
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore
from extproc.evidence.memory import MemoryStore
from extproc.evidence.redis import connect
from extproc.evidence.store import Store, StoreUnavailable
from extproc.processor.stream import Stream
from extproc.routing.policy import Policy
from extproc.routing.router import MARK_MARGIN, Router
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.recorder import DecisionRecorder
from extproc.telemetry.setup import Telemetry, build_telemetry, configure_log
from extproc.transport.grpcio import GrpcioServer

log = structlog.get_logger()

_FIRST_LOOKS: Final = 0.1
"""Seconds between the first looks at the store, so that a start without it says so soon."""


@dataclass(slots=True)
class Parts:
    """What a process of ours has, worker or supervisor: telemetry, the guarded store, and what it did not take."""

    settings: Settings
    telemetry: Telemetry
    store: GuardedStore
    backlog: Backlog
    store_ok: bool = True

    def unseen_writes(self) -> UnseenWrites:
        copies = self.telemetry.meter.create_counter(names.UNSEEN_WRITES, unit="{write}")
        return UnseenWrites(
            self.backlog, self.settings.policy.write_timeout + MARK_MARGIN, count=lambda: copies.add(1)
        )

    def store_word(self) -> str:
        """For `/readyz`."""
        return "ok" if self.store_ok else "degraded"

    async def watch_store(self) -> None:
        """Look at the store until cancelled, for a process that may ask it nothing else."""
        settings = self.settings.store
        for pause in chain(repeat(_FIRST_LOOKS, settings.breaker_failures), repeat(settings.breaker_pause)):
            with suppress(StoreUnavailable):
                await self.store.ping()
            await asyncio.sleep(pause)


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Build, and close in reverse. Every lease from before this moment is void, as soon as the store takes it."""
    configure_log(settings.telemetry.log_level, settings.telemetry.log_format)
    telemetry = build_telemetry(settings.telemetry.exporter, settings.telemetry.trace_ratio)
    changes = telemetry.meter.create_counter(names.STORE_CHANGES, unit="{change}")
    store = build_store(settings)
    shown = settings.store.public_url
    parts: Parts

    def on_change(available: bool, detail: str) -> None:
        parts.store_ok = available
        changes.add(1, {names.STORE_AVAILABLE: available})
        if available:
            log.info("store available again: reads are decided on evidence", store=shown)
        else:
            log.error(
                "store unavailable: reads go to the primary; start it or correct the store table",
                store=shown,
                detail=detail,
            )

    budget = settings.store.budget
    guarded = GuardedStore(
        store,
        budget=budget,
        breaker=Breaker(failures=settings.store.breaker_failures, pause=settings.store.breaker_pause),
        quarantine=LAST_PAUSE + 2 * budget,
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
    """The store that the settings name, unguarded. Raises StoreUnavailable for a bad URL or an unreadable secret."""
    if settings.store.url == "memory://":
        return MemoryStore(absent_ttl=settings.policy.absent_ttl, name_ttl=settings.store.name_ttl)
    try:
        return connect(settings.store, absent_ttl=settings.policy.absent_ttl)
    except StoreUnavailable as error:
        raise StoreUnavailable(f"the store cannot be used: {error}; correct the store table") from error


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
    challenge = Challenge(settings.auth.realm, settings.auth.service)
    new_stream = partial(Stream, router, challenge, recorder, show_reason=settings.envoy.response_headers)
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
        stop = stop_requested()
        server = build_server(parts, 0)
        serving = False

        def health() -> Health:
            return Health(ready=serving, store=parts.store_word(), workers=int(serving))

        admin = AdminServer(settings.admin.address, health, parts.unseen_writes())
        await admin.start()
        try:
            await server.start()
            serving = True
            log.info("serving", worker=0, address=worker_address(settings, 0))
            await stop.wait()
            serving = False
            await drain(server, settings)
        finally:
            await admin.stop()


async def serve_worker(
    settings: Settings, number: int, ready: Callable[[], None], orphaned: Awaitable[object]
) -> None:
    """One worker process of a supervisor: tells it when it serves, and ends when told or orphaned.

    An orphan does not drain: nobody takes the copies of writes that no worker saw any more, so it must not go on
    deciding on evidence, and the next supervisor wants its place.
    """
    async with open_parts(settings) as parts:
        structlog.contextvars.bind_contextvars(worker=number)
        stop = stop_requested()
        server = build_server(parts, number)
        await server.start()
        ready()
        log.info("serving", address=worker_address(settings, number))
        stopping = asyncio.ensure_future(stop.wait())
        parent = asyncio.ensure_future(orphaned)
        # A worker without requests must notice an outage too, for the quarantine after it.
        watching = asyncio.create_task(parts.watch_store())
        await asyncio.wait({stopping, parent}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        if parent.done() and not stopping.done():
            log.error("the supervisor is gone; ending")
            await server.stop(grace=settings.server.drain)
            return
        await drain(server, settings)


async def drain(server: GrpcioServer, settings: Settings) -> None:
    """First out of Envoy's rotation, then no new streams, then the end: no request fails."""
    log.info("draining", seconds=settings.server.drain)
    await server.announce_drain()
    await asyncio.sleep(settings.server.drain)
    await server.stop(grace=settings.server.drain)


def stop_requested() -> asyncio.Event:
    """From now on set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
