"""Runs N worker processes and restarts those that die; holds the admin server, which must outlive them.

Rules
1. A worker that ends uncleanly may have let a write pass unseen: all leases from before are void (`not_before`).
2. A worker lives no longer than its supervisor: its standard input is a pipe whose end it watches.
3. A worker that dies young is started again ever more slowly; the others serve meanwhile.
4. A worker that ends at its very first start has a cause that stays: everything is stopped, and says so.
5. A worker has the settings and keys of its supervisor, never those of the files: two processes with two stores would
   each miss what the other is told, and a file may be broken by now. Live settings go to every worker
   as soon as they are adopted here.
6. At SIGUSR2 the workers are restarted one after another, each when all the others serve.
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
from extproc.app import mode_of, said, stop_requested
from extproc.auth.keys import KeySet
from extproc.jwks.opening import OpenKeys
from extproc.live.asking import DECISIONS, KEYS_WANTED, LONGEST, METRICS, Asking, Report
from extproc.live.orders import Orders
from extproc.live.pausable import Pausable
from extproc.live.role import Role
from extproc.live.signals import heard
from extproc.oci.reference import Name, Tag
from extproc.parts import Parts, open_parts
from extproc.reconcile.schedule import keep_reconciling
from extproc.settings import Settings
from extproc.telemetry import names
from extproc.telemetry.counter import counter
from extproc.telemetry.gauge import gauge
from extproc.telemetry.prometheus import merged
from extproc.telemetry.setup import configure_log

log = structlog.get_logger()

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_YOUNG = 10.0
"""Seconds: a worker that lived longer is restarted without a pause growing."""
_SEEN_BY_ENVOY: Final = 2.5
"""Seconds until Envoy, which looks each second, has seen that a worker serves again."""
_MOST_UNREAD: Final = 4 * 2**20
"""Bytes of orders that a worker has not read: hundreds of an ordinary configuration, and two of any."""
READY: Final = b"ready\n"
"""What a worker writes to standard output once it serves."""
FAILED: Final = b"failed "
"""What it writes instead, before the sentence that says why it cannot start."""


class WorkersFailed(Exception):
    """A worker ended before it ever served, so a restart would not help; the message says why."""


class Supervisor:
    """The parent of N workers."""

    def __init__(
        self,
        config: Path,
        parts: Parts,
        keys: OpenKeys,
        on_lease_dropped: Callable[[Name, Tag], None] | None,
    ) -> None:
        """`on_lease_dropped` hears of tags that somebody reads and the primary told a change of. Live settings follow
        the file `config`."""
        self._settings = parts.settings
        self._parts = parts
        self._keys = keys
        self._reload = parts.reloading(config, self._adopt)
        self._role = Role(
            parts.settings.envoy.admin, promoted=parts.promoted, on_followed=parts.backlog.void_leases_soon
        )
        self._reconciling: Pausable | None = None
        self._on_lease_dropped = on_lease_dropped
        self._serving: set[int] = set()
        self._ever_served: set[int] = set()
        self._faults: dict[int, str] = {}
        """Why a worker said that it cannot start."""
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._restart_asked = asyncio.Event()
        self._restarting: set[int] = set()
        """Workers that end because we told them to."""
        self._asking = Asking()
        self._changed = asyncio.Condition()
        """A worker has begun or ceased to serve."""
        self._restarts = counter(parts.telemetry.meter, names.RESTARTS, unit="{restart}")
        gauge(parts.telemetry.meter, names.WORKERS, lambda: {(): len(self._serving)})
        self._exits = counter(
            parts.telemetry.meter,
            names.WORKER_EXITS,
            unit="{exit}",
            series=[{names.WORKER_CLEAN: True}, {names.WORKER_CLEAN: False}],
        )

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then drain every worker. Raises AdminError and WorkersFailed."""
        async with self._parts.reading(
            self._decisions, self._metrics, self._health, self._keys, lambda: self._settings
        ) as read:
            pages = self._parts.notification_pages(self._on_lease_dropped) | read.pages
            admin = AdminServer(self._settings.admin.address, self._health, self._parts.unseen_writes(), pages)
            await admin.start()
            try:
                await self._serve()
            finally:
                read.close()
                await admin.stop()

    async def _serve(self) -> None:
        requested = asyncio.create_task(stop_requested().wait())
        watching = asyncio.create_task(self._parts.watch_store())
        reloading = asyncio.create_task(self._reload.keep())
        restarting = asyncio.create_task(self._restart_when_asked())
        following = asyncio.create_task(self._role.keep())
        self._reconciling = reconciling = Pausable(self._reconcile, paused=self._parts.promoted)
        keepers = [asyncio.create_task(self._keep(number)) for number in range(self._settings.server.workers)]
        try:
            # A keeper ends by itself only with an exception.
            await asyncio.wait({requested, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping.set()
            requested.cancel()
            for task in (watching, reloading, restarting, following):
                task.cancel()
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            ended = await asyncio.gather(*keepers, return_exceptions=True)
            await asyncio.gather(watching, reloading, restarting, following, return_exceptions=True)
            await reconciling.close()
        for outcome in ended:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _reconcile(self) -> None:
        await keep_reconciling(
            self._settings,
            self._parts.background,
            lambda: len(self._serving) == self._settings.server.workers,
            self._parts.backlog.blocks,
            self._parts.work,
        )

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
            if number in self._restarting and code == 0:
                continue
            fault = self._faults.pop(number, "")
            log.error("worker ended; starting it again", worker=number, exit_code=code, pause=pause, fault=fault)
            await self._parts.backlog.void_leases()
            pause = _FIRST_PAUSE if loop.time() - started > _YOUNG else min(pause * 2, _LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _run_once(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "extproc.worker", "--number", str(number)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST,
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which drains
        )
        self._processes[number] = process
        self._order(process)
        if self._stopping.is_set():
            process.terminate()
        watching = asyncio.create_task(self._watch_ready(number, process))
        try:
            code = await self._wait(process)
            await watching  # its last words
            return code
        finally:
            watching.cancel()
            self._processes.pop(number, None)
            await self._set_serving(number, False)

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """The exit code; a worker that does not finish draining is killed."""
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            async with asyncio.timeout(None if ended.done() else 2 * self._settings.server.drain + 5):
                return await ended
        except TimeoutError:
            process.kill()
            return await process.wait()

    async def _watch_ready(self, number: int, process: asyncio.subprocess.Process) -> None:
        line = b"" if process.stdout is None else await process.stdout.readline()
        if line == READY:
            self._ever_served.add(number)
            await self._set_serving(number, True)
            while process.stdout is not None and (said := await process.stdout.readline()):
                if said == KEYS_WANTED:
                    self._keys.unknown_kid()
                else:
                    self._asking.take(number, said)
        elif line.startswith(FAILED):
            self._faults[number] = line.removeprefix(FAILED).decode(errors="replace").strip()

    async def _set_serving(self, number: int, serving: bool) -> None:
        async with self._changed:
            (self._serving.add if serving else self._serving.discard)(number)
            self._changed.notify_all()

    def _adopt(self, settings: Settings) -> None:
        """Live settings, here and in every worker. Raises auth.keys.KeysInvalid before anything changed."""
        self._keys.adopt(settings)
        self._parts.adopt_role(settings.sites)
        self._role.change(promoted=self._parts.promoted)
        if self._reconciling is not None:
            self._reconciling.pause(self._parts.promoted)
        self._settings = settings
        configure_log(settings.telemetry.log_level, settings.telemetry.log_format)
        self.order()

    def order(self) -> None:
        """Tell every worker what is in force."""
        for process in self._processes.values():
            self._order(process)

    def _order(self, process: asyncio.subprocess.Process) -> None:
        """Tell a worker what is in force. One that has ended hears nothing; its successor is told at its start.

        One that reads no more (it was stopped, or hangs) decides by what was in force long ago: it must end.
        """
        if process.stdin is None or process.stdin.is_closing():
            return
        line = Orders(self._settings, self._keys.keys.documents).line()
        if process.stdin.transport.get_write_buffer_size() > max(_MOST_UNREAD, 2 * len(line)):
            log.error("worker does not read its orders; killing it", pid=process.pid)
            with suppress(ProcessLookupError):
                process.kill()
            return
        process.stdin.write(line)

    async def _restart_when_asked(self) -> None:
        """At SIGUSR2 every worker, one after another. Never ends by itself."""
        with heard(signal.SIGUSR2, self._restart_asked.set):
            while True:
                await self._restart_asked.wait()
                self._restart_asked.clear()
                log.info("restarting the workers one after another", workers=self._settings.server.workers)
                for number in range(self._settings.server.workers):
                    await self._restart(number)
                log.info("all workers have been restarted")

    async def _restart(self, number: int) -> None:
        """Once all others serve; returns when its successor does, too, and Envoy knows."""
        others = set(range(self._settings.server.workers)) - {number}
        async with self._changed:
            await self._changed.wait_for(lambda: others <= self._serving or number not in self._serving)
        process = self._processes.get(number)
        if process is not None and number in self._serving:
            self._restarting.add(number)
            with suppress(ProcessLookupError):  # it has just ended by itself
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(2 * self._settings.server.drain + 5), self._changed:
                    await self._changed.wait_for(lambda: number not in self._serving)
            except TimeoutError:
                log.error("worker does not end; killing it", worker=number)  # noqa: TRY400 - no fault of ours
                with suppress(ProcessLookupError):
                    process.kill()
        async with self._changed:
            await self._changed.wait_for(lambda: number in self._serving)
        self._restarting.discard(number)
        self._restarts.add(1)
        await asyncio.sleep(_SEEN_BY_ENVOY)

    async def _reports(self, about: str) -> dict[int, Report]:
        """Of every worker that answers."""
        serving = {number: self._processes[number] for number in self._serving if number in self._processes}
        return await self._asking.reports(about, serving)

    async def _decisions(self) -> dict[int, Report]:
        return await self._reports(DECISIONS)

    async def _metrics(self) -> bytes:
        """Of every worker that answers, and of this process."""
        reports = await self._reports(METRICS)
        pages = {str(number): str(report["metrics"]) for number, report in sorted(reports.items())}
        own = self._parts.telemetry.exposition.text()
        return await asyncio.to_thread(merged, {**pages, "supervisor": own})

    def _health(self) -> Health:
        return Health(
            ready=bool(self._serving) and self._keys.known and not self._stopping.is_set(),
            store=self._parts.store_word(),
            workers=len(self._serving),
            mode=mode_of(self._settings),
            configuration=said(self._reload.word, self._role.word),
            keys=self._keys.word,
        )


async def supervise(settings: Settings, config: Path) -> None:
    """Serve with N workers until told to stop."""
    supervisor: Supervisor | None = None

    def keys_changed(known: KeySet) -> None:
        if supervisor is not None:
            supervisor.order()

    async with (
        open_parts(settings) as parts,
        parts.opening_keys(keys_changed) as keys,
        parts.renewing() as renewal,
    ):
        supervisor = Supervisor(config, parts, keys, None if renewal is None else renewal.on_lease_dropped)
        await supervisor.run()
