"""Runs N worker processes and restarts those that die; holds the admin server, which must outlive them.

Rules
1. A worker that ends uncleanly may have let a write pass unseen: all leases from before are void (`not_before`).
2. A worker lives no longer than its supervisor: its standard input is a pipe whose end it watches.
3. A worker that dies young is started again ever more slowly; the others serve meanwhile.
4. A worker that ends at its very first start has a cause that stays: everything is stopped, and says so.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from extproc.admin.server import AdminServer, Health
from extproc.app import stop_requested
from extproc.oci.reference import Name, Tag
from extproc.parts import Parts, open_parts
from extproc.reconcile.schedule import keep_reconciling
from extproc.settings import Settings
from extproc.telemetry import names

log = structlog.get_logger()

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_YOUNG = 10.0
"""Seconds: a worker that lived longer is restarted without a pause growing."""
READY: Final = b"ready\n"
"""What a worker writes to standard output once it serves."""
FAILED: Final = b"failed "
"""What it writes instead, before the sentence that says why it cannot start."""


class WorkersFailed(Exception):
    """A worker ended before it ever served, so a restart would not help; the message says why."""


class Supervisor:
    """The parent of N workers."""

    def __init__(
        self, settings: Settings, config: Path, parts: Parts, on_lease_dropped: Callable[[Name, Tag], None] | None
    ) -> None:
        """`on_lease_dropped` hears of tags that somebody reads and the primary told a change of."""
        self._settings = settings
        self._config = config
        self._parts = parts
        self._on_lease_dropped = on_lease_dropped
        self._serving: set[int] = set()
        self._ever_served: set[int] = set()
        self._faults: dict[int, str] = {}
        """Why a worker said that it cannot start."""
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._exits = parts.telemetry.meter.create_counter(names.WORKER_EXITS, unit="{exit}")

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then drain every worker. Raises AdminError and WorkersFailed."""
        pages = self._parts.notification_pages(self._on_lease_dropped) | self._parts.status_pages()
        admin = AdminServer(self._settings.admin.address, self._health, self._parts.unseen_writes(), pages)
        await admin.start()
        requested = asyncio.create_task(stop_requested().wait())
        watching = asyncio.create_task(self._parts.watch_store())
        reconciling = asyncio.create_task(
            keep_reconciling(
                self._settings,
                self._parts.background,
                lambda: len(self._serving) == self._settings.server.workers,
                self._parts.backlog.blocks,
            )
        )
        keepers = [asyncio.create_task(self._keep(number)) for number in range(self._settings.server.workers)]
        try:
            # A keeper ends by itself only with an exception.
            await asyncio.wait({requested, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            requested.cancel()
            watching.cancel()
            reconciling.cancel()
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            ended = await asyncio.gather(*keepers, return_exceptions=True)
            await asyncio.gather(reconciling, return_exceptions=True)
            await admin.stop()
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _keep(self, number: int) -> None:
        """Worker `number`, again and again."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run_once(number)
            if self._stopping.is_set():
                return
            if number not in self._ever_served:
                raise WorkersFailed(
                    self._faults.get(number)
                    or f"worker {number} ended with {code} before it served; see its messages"
                )
            self._exits.add(1, {names.WORKER_CLEAN: code == 0})
            fault = self._faults.pop(number, "")
            log.error("worker ended; starting it again", worker=number, exit_code=code, pause=pause, fault=fault)
            await self._parts.backlog.void_leases()
            pause = _FIRST_PAUSE if loop.time() - started > _YOUNG else min(pause * 2, _LONGEST_PAUSE)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _run_once(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "extproc.worker", "--config", str(self._config), "--number", str(number)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which drains
        )
        self._processes[number] = process
        if self._stopping.is_set():
            process.terminate()
        watching = asyncio.create_task(self._watch_ready(number, process))
        try:
            code = await self._wait(process)
            await watching  # its last words
            return code
        finally:
            watching.cancel()
            self._serving.discard(number)
            self._processes.pop(number, None)

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """The exit code; a worker that does not finish draining is killed."""
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            return await asyncio.wait_for(ended, None if ended.done() else 2 * self._settings.server.drain + 5)
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _watch_ready(self, number: int, process: asyncio.subprocess.Process) -> None:
        line = b"" if process.stdout is None else await process.stdout.readline()
        if line == READY:
            self._serving.add(number)
            self._ever_served.add(number)
        elif line.startswith(FAILED):
            self._faults[number] = line.removeprefix(FAILED).decode(errors="replace").strip()

    def _health(self) -> Health:
        return Health(
            ready=bool(self._serving) and not self._stopping.is_set(),
            store=self._parts.store_word(),
            workers=len(self._serving),
        )


async def supervise(settings: Settings, config: Path) -> None:
    """Serve with N workers until told to stop."""
    async with open_parts(settings) as parts, parts.renewing() as renewal:
        await Supervisor(settings, config, parts, None if renewal is None else renewal.on_lease_dropped).run()
