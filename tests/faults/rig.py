"""The system under load, with a relay before Redis, the primary, the secondary and the collector, and one for
notifications."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

import aiohttp
import redis.asyncio

from extproc.sandbox.ports import HOST
from extproc.sandbox.system import Sandbox
from tests.faults.judge import Judge, Told
from tests.faults.ledger import Ledger
from tests.faults.load import Client, Sites, open_clients
from tests.faults.relay import FaultRelay
from tests.support.notified import NotificationRelay
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.registry_storage import RegistryStorage

MAX_STALENESS: Final = 5.0
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
_IMPATIENT: Final = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "200"}
"""Seconds that an answer of the collector is waited for, and milliseconds between two batches of spans."""
WITHIN: Final = 60.0
"""Seconds until whatever is waited for must have come."""


@dataclass
class Rig:
    """All that a fault may touch."""

    sandbox: Sandbox
    redis: FaultRelay
    primary: FaultRelay
    secondary: FaultRelay
    notifications: NotificationRelay
    collector: FaultRelay
    receiver: OtlpReceiver
    sites: Sites
    clients: Sequence[Client]
    http: aiohttp.ClientSession
    background: list[asyncio.Task[None]] = field(default_factory=list)
    senders: list[asyncio.Task[None]] = field(default_factory=list)
    """Slow ones, which Envoy ends in its own time."""

    @property
    def ledger(self) -> Ledger:
        return self.sites.ledger

    def supervisor(self) -> int:
        return self.sandbox.part("extproc").pids()[0]

    def workers(self) -> list[int]:
        """Pids; empty while the processor is away."""
        return self.sandbox.part("extproc").pids()[1:]

    async def readyz(self) -> dict[str, Any]:
        """The document; empty when nobody answers."""
        try:
            async with self.http.get(f"{self.sandbox.edge.admin_url}/readyz") as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except (OSError, aiohttp.ClientError):
            return {}

    async def until_ready(self, what: str, true: Callable[[dict[str, Any]], bool]) -> None:
        """Until `/readyz` says so."""

        async def is_so() -> bool:
            return true(await self.readyz())

        await until(what, is_so)

    async def all_serve(self) -> None:
        """Every worker, in the supervisor's words."""
        await self.until_ready("every worker serves", lambda told: told.get("workers") == WORKERS)

    async def decides(self) -> None:
        """Until Envoy asks the processor: it looks for workers once a second."""

        async def is_so() -> bool:
            async with self.http.get(f"{self.sandbox.edge.registry_url}/v2/") as answer:
                return answer.headers.get("x-geo-reason") == "token-missing"

        await until("Envoy asks the processor", is_so)

    async def command(self, *words: str, password: str | None = None) -> Any:
        """One command to Redis itself, past the relay."""
        url = self.sandbox.sites.redis_url
        assert url is not None
        client = redis.asyncio.Redis.from_url(url, password=password)
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    def meanwhile(self, work: Coroutine[None, None, None]) -> None:
        """Goes on until `end_background`."""
        self.background.append(asyncio.create_task(work))

    async def end_background(self) -> None:
        for task in self.background:
            task.cancel()
        outcomes = await asyncio.gather(*self.background, return_exceptions=True)
        self.background.clear()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def log_lines(self, event: str) -> int:
        """How often the processor wrote a line of this event."""
        text = self.sandbox.workspace.log("extproc").read_text(errors="replace")
        return text.count(json.dumps(event))

    def judge(self) -> Judge:
        told: Told = {
            (each.target["tag"], each.target["digest"]): each.at
            for each in reversed(self.notifications.acknowledged)
            if each.site == "primary" and each.action == "push" and each.target.get("tag")
        }
        return Judge(self.ledger.entries, told, max_staleness=MAX_STALENESS)


WORKERS: Final = 2


async def until(what: str, true: Callable[[], Awaitable[bool]]) -> None:
    """Looked at again and again: what is waited for happens in other processes."""
    deadline = time.monotonic() + WITHIN
    while not await true():
        assert time.monotonic() < deadline, f"not within {WITHIN:g} s: {what}"
        await asyncio.sleep(0.02)


def signal_all(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@asynccontextmanager
async def open_rig(**settings: Any) -> AsyncIterator[Rig]:
    """`settings`: the processor's, by section, beside those that make faults short."""
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(FaultRelay()) for _ in range(4)]
        store, primary, secondary, collector = relays
        receiver = await stack.enter_async_context(OtlpReceiver())
        collector.target = lambda: receiver.grpc_port
        stack.enter_context(mock.patch.dict(os.environ, _IMPATIENT))
        notifications = await stack.enter_async_context(NotificationRelay())
        sandbox = Sandbox(
            # In memory where there is such a place: registries write many small files.
            Path(tempfile.mkdtemp(prefix="geo-faults-", dir=_MEMORY if _MEMORY.is_dir() else None)),
            workers=WORKERS,
            max_staleness=MAX_STALENESS,
            notify=notifications.url,
            settings={
                # Marks of writes that no worker finished last as long as a write may, and absence as long as this.
                "policy": {"write_timeout": 4, "absent_ttl": 0.05},
                # Patient enough for a machine that does much else.
                "store": {"url": f"redis://{HOST}:{store.port}/0", "budget": 0.1},
                "sites": {
                    "primary": {"url": f"http://{HOST}:{primary.port}"},
                    "secondary": {"url": f"http://{HOST}:{secondary.port}"},
                },
                "telemetry": {
                    "exporter": "otlp",
                    "otlp_endpoint": f"http://{HOST}:{collector.port}",
                    "trace_ratio": 1.0,
                },
                "envoy": {"health_interval": 1, "per_try_timeout": 0.5, "message_timeout": 0.4},
                "server": {"transport": os.environ.get("GEO_TEST_TRANSPORT", "grpcio")},
                **settings,
            },
        )
        primary.target = lambda: sandbox.sites.primary.port
        secondary.target = lambda: sandbox.sites.secondary.port
        store.target = lambda: int((sandbox.sites.redis_url or "").rpartition(":")[2].removesuffix("/0"))
        await stack.enter_async_context(sandbox)
        notifications.ingest = sandbox.edge.admin_url
        sites = Sites(
            Ledger(), RegistryStorage(sandbox.sites.primary.root), RegistryStorage(sandbox.sites.secondary.root)
        )
        rig = Rig(
            sandbox,
            store,
            primary,
            secondary,
            notifications,
            collector,
            receiver,
            sites,
            await stack.enter_async_context(open_clients(sandbox, sites)),
            await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))),
        )
        try:
            await rig.decides()
            yield rig
        finally:
            for sender in rig.senders:
                sender.cancel()
            await rig.end_background()
