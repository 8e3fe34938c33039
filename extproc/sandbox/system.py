"""The whole system: two sites, the processor and Envoy; started in order, ended without a trace."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from extproc.sandbox.edge import Edge, Overrides, Rendering, build_edge
from extproc.sandbox.error import SandboxError
from extproc.sandbox.process import Process
from extproc.sandbox.site import Sites, build_sites, start_all, stop_all
from extproc.sandbox.workspace import Workspace

Part = TypeVar("Part")


class Sandbox:
    """An async context manager; inside it everything runs.

    `wan_rtt` in milliseconds, `wan_mbit` in megabits a second (0: no limit), `max_staleness` in seconds; `settings`
    overrides the processor's, by section. `notify`: the URL that both registries notify instead of the processor's.
    `rendering` makes Envoy's bootstrap, in place of the command `envoy-config`. A given `directory` must be empty or
    new; it is removed at the end unless `keep`.

    Raises SandboxError on entry.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        workers: int = 1,
        state: Literal["redis", "memory"] = "redis",
        wan_rtt: float = 0,
        wan_mbit: float = 0,
        tls: bool = False,
        fallback: Literal["composite", "priorities"] = "composite",
        max_staleness: float = 60.0,
        settings: Overrides | None = None,
        notify: str | None = None,
        rendering: Rendering | None = None,
        keep: bool = False,
    ) -> None:
        if workers > 1 and state == "memory":
            raise SandboxError(f"{workers} workers cannot share state in memory: use Redis or one worker")
        self._directory = directory
        self._keep = keep
        self._state = state
        self._wan_rtt = wan_rtt
        self._wan_mbit = wan_mbit
        self._tls = tls
        self._workers = workers
        self._fallback = fallback
        self._max_staleness = max_staleness
        self._settings = settings
        self._notify = notify
        self._rendering = rendering
        self._workspace: Workspace | None = None
        self._sites: Sites | None = None
        self._edge: Edge | None = None

    @property
    def workspace(self) -> Workspace:
        return _started(self._workspace)

    @property
    def sites(self) -> Sites:
        return _started(self._sites)

    @property
    def edge(self) -> Edge:
        return _started(self._edge)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        self._workspace = workspace = Workspace(self._directory, keep=self._keep)
        await workspace.open()
        self._sites = sites = build_sites(
            workspace,
            state=self._state,
            wan_rtt=self._wan_rtt,
            wan_mbit=self._wan_mbit,
            tls=self._tls,
            notify=self._notify,
        )
        self._edge = edge = build_edge(
            workspace,
            sites,
            workers=self._workers,
            fallback=self._fallback,
            max_staleness=self._max_staleness,
            overrides=self._settings,
            rendering=self._rendering,
        )
        await start_all(sites.parts)
        for part in edge.parts.values():
            await part.start()

    async def _stop(self) -> None:
        if self._edge:
            await stop_all(self._edge.parts)
        if self._sites:
            await stop_all(self._sites.parts)
        if self._workspace:
            await self._workspace.close()

    @property
    def parts(self) -> dict[str, Process]:
        """auth, primary, secondary, redis and wan where there is one, extproc, envoy."""
        return {**self.sites.parts, **self.edge.parts}

    def part(self, name: str) -> Process:
        """Raises SandboxError for a name that no part has."""
        parts = self.parts
        if name not in parts:
            raise SandboxError(f"no part is named {name!r}: there are {', '.join(parts)}")
        return parts[name]

    async def start(self, name: str) -> None:
        """Bring a stopped or killed part back, and wait until it is ready."""
        await self.part(name).start()

    async def stop(self, name: str) -> None:
        """SIGTERM, as an orderly shutdown does."""
        await self.part(name).stop()

    async def kill(self, name: str) -> None:
        """SIGKILL to the part with its workers."""
        await self.part(name).kill()

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    def pause(self, name: str) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self.part(name).pause()

    def resume(self, name: str) -> None:
        self.part(name).resume()

    def describe(self) -> dict[str, Any]:
        """What `geo-extproc sandbox --json` prints."""
        sites, edge = self.sites, self.edge
        description: dict[str, Any] = {
            "registry_url": edge.registry_url,
            "primary_url": sites.primary.url,
            "primary_wan_url": sites.primary_wan_url,
            "secondary_url": sites.secondary.url,
            "auth_url": sites.auth_url,
            "admin_url": edge.admin_url,
            "envoy_admin_url": edge.envoy_admin_url,
            "redis_url": sites.redis_url,
            "config_file": str(edge.config_file),
            "envoy_config_file": str(edge.envoy_config_file),
            "signing_key_file": str(sites.signing.private_key),
            "access_log_file": str(edge.access_log_file),
            "directory": str(self.workspace.directory),
            "pids": {"redis": [], **{name: part.pids() for name, part in self.parts.items()}},
        }
        if sites.ca_file:
            description["ca_file"] = str(sites.ca_file)
        return description


async def run_until_signal(sandbox: Sandbox, announce: Callable[[dict[str, Any]], None]) -> None:
    """Start it, announce what it is, and end it at SIGINT or SIGTERM, also when that comes during the start.

    Raises SandboxError.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    signals = (signal.SIGINT, signal.SIGTERM)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # the second signal must not interrupt the cleaning up
            stopping = True
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        async with sandbox:
            announce(sandbox.describe())
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not stopping:
            raise
        task.uncancel()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _started(value: Part | None) -> Part:
    if value is None:
        raise SandboxError("the sandbox has not been started: use it as an async context manager")
    return value
