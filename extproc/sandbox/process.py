"""One program of the sandbox: started, watched until it is ready, stopped, killed, paused."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from extproc.sandbox.error import SandboxError

Probe = Callable[[], Awaitable[bool]]
"""Is it ready? Errors of the network count as no."""


def descendants(pid: int) -> list[int]:
    """The children of `pid` and theirs, oldest first within each generation."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                # The command's name may hold spaces and parentheses: read after the last one (proc(5)).
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in sorted(children.get(waiting.pop(0), [])):
            found.append(child)
            waiting.append(child)
    return found


class Process:
    """A program with its log file. It can be started again after it stopped, with the same command.

    `grace` is how many seconds it may take to stop before it is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        probe: Probe,
        ready_within: float = 20.0,
        grace: float = 5.0,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._environment = dict(environment)
        self._probe = probe
        self._ready_within = ready_within
        self._grace = grace
        self._child: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    def pids(self) -> list[int]:
        """The program's pid, then its descendants'; empty when it does not run."""
        if self._child is None or self._child.returncode is not None:
            return []
        return [self._child.pid, *descendants(self._child.pid)]

    async def spawn(self) -> None:
        """Start it in a session of its own, so that no terminal signal reaches it. Raises SandboxError."""
        if self.running:
            return
        with self.log.open("ab") as output:
            try:
                self._child = await asyncio.create_subprocess_exec(
                    *self.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise SandboxError(f"{self.name}: cannot run {self.command[0]!r}: {error.strerror}") from error

    async def wait_ready(self) -> None:
        """Until the probe succeeds. Raises SandboxError when the program ends first or takes too long."""
        child = self._child
        if child is None:
            raise SandboxError(f"{self.name} was not started")
        deadline = asyncio.get_running_loop().time() + self._ready_within
        while True:
            if child.returncode is not None:
                raise SandboxError(
                    f"{self.name} stopped at its start with code {child.returncode}: {self.last_line()}"
                )
            if await self._ready():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise SandboxError(f"{self.name} was not ready after {self._ready_within:g} s: {self.last_line()}")
            await asyncio.sleep(0.02)

    async def start(self) -> None:
        """Spawn and wait until it is ready. Raises SandboxError."""
        await self.spawn()
        await self.wait_ready()

    async def stop(self) -> None:
        """SIGTERM to the program, SIGKILL to it and its descendants after the grace."""
        child = self._child
        if child is None or child.returncode is not None:
            return
        self._signal(signal.SIGTERM, [child.pid])
        self.resume()
        try:
            async with asyncio.timeout(self._grace):
                await child.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL to the program and its descendants, as the kernel does when memory is short."""
        child = self._child
        if child is None:
            return
        self._signal(signal.SIGKILL, self.pids())
        await child.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP, self.pids())

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT, self.pids())

    def last_line(self) -> str:
        """The last line that the program wrote that is not empty."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")

    @staticmethod
    def _signal(number: signal.Signals, pids: Sequence[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    async def _ready(self) -> bool:
        try:
            async with asyncio.timeout(2.0):
                return await self._probe()
        except (OSError, TimeoutError):
            return False
