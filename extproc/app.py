"""The composition root: in which order things start, drain and close.

What is built from the settings is in build.py, what every process is made of in parts.py. With `memory://` there is
one process (`serve_alone`); with a shared store the supervisor runs N of `serve_worker` (supervisor.py).
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from extproc.admin.server import AdminServer, Health
from extproc.auth.challenge import Challenge
from extproc.auth.keys import KeyDocument, KeySet
from extproc.build import build_policy, build_verifier
from extproc.form import is_compiled
from extproc.jwks.opening import OpenKeys
from extproc.live.asking import DECISIONS, KEYS_WANTED, METRICS, Question, Report
from extproc.live.orders import Orders
from extproc.live.pausable import Pausable
from extproc.live.role import Role
from extproc.oci.reference import Name, Tag
from extproc.parts import Parts, open_parts
from extproc.processor.stream import Streams
from extproc.reconcile.schedule import keep_reconciling
from extproc.renewal.renewal import Renewal
from extproc.routing.router import Router
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.gauge import gauge
from extproc.telemetry.journal import Journal
from extproc.telemetry.prometheus import merged
from extproc.telemetry.recorder import ExchangeRecorder
from extproc.telemetry.seldom import Seldom
from extproc.telemetry.setup import configure_log
from extproc.transport.fastlane.server import FastlaneServer
from extproc.transport.grpcio import GrpcioServer
from extproc.transport.service import Endpoint

log = structlog.get_logger()

_KEYS_WANTED_EVERY: Final = 1.0
"""Seconds between two lines to the supervisor that a token names an unknown key: anybody can send such tokens."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker's endpoint, and what of it changes while it serves."""

    server: Endpoint
    router: Router
    keys: OpenKeys
    renewal: Renewal | None
    parts: Parts
    journal: Journal
    run: str
    """Tells this one apart from the one that had its number before."""

    def on_lease_dropped(self, name: Name, tag: Tag) -> None:
        """Hears of tags that the primary told a change of."""
        if self.renewal is not None:
            self.renewal.on_lease_dropped(name, tag)

    def adopt(self, settings: Settings, documents: Sequence[KeyDocument] | None = None) -> None:
        """Take live settings into force, between exchanges, and the key files, or the keys in `documents`. Raises
        auth.keys.KeysInvalid before anything changed."""
        self.keys.adopt(settings, documents)
        self.parts.adopt_role(settings.sites)
        self.router.adopt(build_policy(settings))
        configure_log(settings.telemetry.log_level, settings.telemetry.log_format)

    def report(self, about: str) -> Report:
        """What a supervisor asks for."""
        if about == METRICS:
            return {"metrics": self.parts.telemetry.exposition.text()}
        return {"run": self.run, **self.journal.report()}


@asynccontextmanager
async def open_worker(
    parts: Parts,
    number: int,
    documents: Sequence[KeyDocument] | None = None,
    on_unknown_kid: Callable[[], None] = lambda: None,
) -> AsyncIterator[Worker]:
    """Worker `number`, not yet listening, with its keys and its renewal. The last two: see `open_keys`.

    Raises auth.keys.KeysInvalid and SettingsError.
    """
    settings = parts.settings
    # Before it serves, nobody shows it a token.
    verifier = build_verifier(settings, KeySet.none(), on_unknown_kid=lambda: keys.unknown_kid())  # noqa: PLW0108 - bound below
    use = (lambda known: None) if verifier is None else verifier.replace_keys
    async with parts.opening_keys(use, documents, on_unknown_kid) as keys, parts.renewing() as renewal:
        router = Router(
            verifier=verifier,
            facts=parts.store,
            writes=parts.backlog,
            policy=build_policy(settings),
            now=time.time,
            interest=renewal,
            asking=parts.store.asking,
        )
        telemetry = parts.telemetry
        recorder = ExchangeRecorder(telemetry.tracer, telemetry.meter, telemetry.sampling, telemetry.distributions)
        challenge = Challenge(settings.auth.realm, settings.auth.service)
        streams = Streams(router, challenge, recorder, show_reason=settings.envoy.response_headers)
        kind = FastlaneServer if settings.server.transport == "fastlane" else GrpcioServer
        server: Endpoint = kind(
            worker_address(settings, number),
            streams.new,
            max_streams=settings.server.max_concurrent_streams,
            shared=settings.server.socket_access == "group",
        )
        gauge(parts.telemetry.meter, names.STREAMS, lambda: {(): server.streams})
        yield Worker(server, router, keys, renewal, parts, recorder.journal, secrets.token_hex(8))


def said(*words: str) -> str:
    """One word for `/readyz`: what is not ok of them."""
    return "; ".join(word for word in words if word != "ok") or "ok"


def worker_address(settings: Settings, number: int) -> str:
    """Where worker `number` listens, in grpc's form."""
    if settings.server.address is None:
        return f"unix:{settings.server.socket(number)}"
    address = settings.server.address
    return str(address.model_copy(update={"port": address.port + number}))


async def serve_alone(settings: Settings, config: Path) -> None:
    """One process: the only worker, and the admin server with it. Live settings follow the file `config`."""
    async with open_parts(settings) as parts, open_worker(parts, 0) as worker, AsyncExitStack() as opened:
        stop = stop_requested()
        role = Role(settings.envoy.admin, promoted=parts.promoted, on_followed=parts.backlog.void_leases_soon)
        serving = False

        def adopt(changed: Settings) -> None:
            worker.adopt(changed)
            role.change(promoted=parts.promoted)
            reconciling.pause(parts.promoted)

        reload = parts.reloading(config, adopt)

        def health() -> Health:
            return Health(
                ready=serving and worker.keys.known,
                store=parts.store_word(),
                workers=int(serving),
                mode=mode_of(reload.settings),
                configuration=said(reload.word, role.word),
                keys=worker.keys.word,
            )

        gauge(parts.telemetry.meter, names.WORKERS, lambda: {(): int(serving)})

        async def metrics() -> bytes:
            return merged({"0": parts.telemetry.exposition.text()})

        async def decisions() -> dict[int, Report]:
            return {0: worker.report(DECISIONS)} if serving else {}

        read = await opened.enter_async_context(
            parts.reading(decisions, metrics, health, worker.keys, lambda: reload.settings)
        )
        pages = parts.notification_pages(worker.on_lease_dropped) | read.pages
        admin = AdminServer(settings.admin.address, health, parts.unseen_writes(), pages)
        await admin.start()
        reconciling = Pausable(
            lambda: keep_reconciling(settings, parts.background, lambda: serving, parts.backlog.blocks, parts.work),
            paused=parts.promoted,
        )
        following = asyncio.create_task(role.keep())
        reloading = asyncio.create_task(reload.keep())
        try:
            await worker.server.start()
            spare_collector()
            serving = True
            log.info("serving", worker=0, address=worker_address(settings, 0), compiled=is_compiled())
            await stop.wait()
            serving = False
            await drain(worker.server, settings)
        finally:
            reloading.cancel()
            following.cancel()
            await asyncio.gather(following, reloading, return_exceptions=True)
            await reconciling.close()
            read.close()
            await admin.stop()


async def serve_worker(
    first: Orders,
    number: int,
    ready: Callable[[], None],
    told: AsyncIterator[Orders | Question],
    answer: Callable[[bytes], None],
) -> None:
    """One worker process of a supervisor: tells it when it serves, adopts what it orders after the `first`, answers
    its questions, and ends when told or orphaned, which is when it says no more.

    An orphan does not drain: nobody takes the copies of writes that no worker saw any more, so it must not go on
    deciding on evidence, and the next supervisor wants its place.
    """
    settings = first.settings
    wanted = Seldom(_KEYS_WANTED_EVERY)

    def unknown_kid() -> None:
        if wanted.left_out("keys") is not None:
            answer(KEYS_WANTED)

    async with open_parts(settings) as parts, open_worker(parts, number, first.keys, unknown_kid) as worker:
        structlog.contextvars.bind_contextvars(worker=number)
        stop = stop_requested()
        await worker.server.start()
        spare_collector()
        ready()
        log.info("serving", address=worker_address(settings, number), compiled=is_compiled())
        stopping = asyncio.ensure_future(stop.wait())
        parent = asyncio.create_task(_obey(worker, told, answer))
        # A worker without requests must notice an outage too, for the quarantine after it.
        watching = asyncio.create_task(parts.watch_store())
        await asyncio.wait({stopping, parent}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        if parent.done() and not stopping.done():
            fault = parent.exception()
            if fault is None:
                log.error("the supervisor is gone; ending")
            else:
                # The next worker is told all that is in force, so it need not end so.
                log.error("what the supervisor orders cannot be followed; ending", exc_info=fault)
            await worker.server.stop(grace=settings.server.drain)
            return
        await drain(worker.server, settings)
        parent.cancel()


async def _obey(worker: Worker, told: AsyncIterator[Orders | Question], answer: Callable[[bytes], None]) -> None:
    async for said in told:
        if isinstance(said, Question):
            answer(said.answer(worker.report(said.about)))
        else:
            worker.adopt(said.settings, said.keys)


def mode_of(settings: Settings) -> str:
    """For `/readyz`: what becomes of decisions."""
    return "promoted" if settings.sites.promoted else settings.rollout.mode


async def drain(server: Endpoint, settings: Settings) -> None:
    """First out of Envoy's rotation, then no new streams, then the end: no request fails."""
    log.info("draining", seconds=settings.server.drain)
    await server.announce_drain()
    await asyncio.sleep(settings.server.drain)
    await server.stop(grace=settings.server.drain)


_YOUNG: Final = 20_000
"""Objects more than were freed, after which the collector looks for rings among them."""


def spare_collector() -> None:
    """What is there at the start stays: a full collection, of tens of milliseconds, need not look at it each time.

    And an exchange makes no rings: what it made is gone with its last reference. So the collector, which by default
    looks at the youngest after each 700 objects more, finds nothing there for some ten exchanges' worth of work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def stop_requested() -> asyncio.Event:
    """From now on set by SIGTERM and SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
