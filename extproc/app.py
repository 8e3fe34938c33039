"""The composition root: in which order things start, drain and close.

What is built from the settings is in build.py, what every process is made of in parts.py. With `memory://` there is
one process (`serve_alone`); with a shared store the supervisor runs N of `serve_worker` (supervisor.py).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from extproc.admin.server import AdminServer, Health
from extproc.auth.challenge import Challenge
from extproc.build import build_policy, build_verifier
from extproc.parts import Parts, open_parts
from extproc.processor.stream import Stream
from extproc.reconcile.schedule import keep_reconciling
from extproc.routing.router import Interest, Router
from extproc.settings import Settings
from extproc.telemetry.recorder import DecisionRecorder
from extproc.transport.grpcio import GrpcioServer

log = structlog.get_logger()


def build_server(parts: Parts, number: int, interest: Interest | None = None) -> GrpcioServer:
    """Worker `number`'s endpoint, not yet listening."""
    settings = parts.settings
    router = Router(
        verifier=build_verifier(settings),
        facts=parts.store,
        writes=parts.backlog,
        policy=build_policy(settings),
        now=time.time,
        interest=interest,
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
    async with open_parts(settings) as parts, parts.renewing() as renewal:
        stop = stop_requested()
        server = build_server(parts, 0, renewal)
        serving = False

        def health() -> Health:
            return Health(ready=serving, store=parts.store_word(), workers=int(serving))

        on_lease_dropped = None if renewal is None else renewal.on_lease_dropped
        pages = parts.notification_pages(on_lease_dropped) | parts.status_pages()
        admin = AdminServer(settings.admin.address, health, parts.unseen_writes(), pages)
        await admin.start()
        reconciling = asyncio.create_task(
            keep_reconciling(settings, parts.background, lambda: serving, parts.backlog.blocks)
        )
        try:
            await server.start()
            serving = True
            log.info("serving", worker=0, address=worker_address(settings, 0))
            await stop.wait()
            serving = False
            await drain(server, settings)
        finally:
            reconciling.cancel()
            await asyncio.gather(reconciling, return_exceptions=True)
            await admin.stop()


async def serve_worker(
    settings: Settings, number: int, ready: Callable[[], None], orphaned: Awaitable[object]
) -> None:
    """One worker process of a supervisor: tells it when it serves, and ends when told or orphaned.

    An orphan does not drain: nobody takes the copies of writes that no worker saw any more, so it must not go on
    deciding on evidence, and the next supervisor wants its place.
    """
    async with open_parts(settings) as parts, parts.renewing() as renewal:
        structlog.contextvars.bind_contextvars(worker=number)
        stop = stop_requested()
        server = build_server(parts, number, renewal)
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
