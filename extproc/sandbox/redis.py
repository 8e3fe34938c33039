"""A Redis of our own: one server, its data in the sandbox's folder."""

from __future__ import annotations

from extproc.sandbox.ports import HOST
from extproc.sandbox.probe import pongs
from extproc.sandbox.process import Process
from extproc.sandbox.program import find
from extproc.sandbox.workspace import Workspace


def redis_server(workspace: Workspace, port: int, *, appendonly: bool = True) -> Process:
    """The server, not yet started. Raises SandboxError when Redis is not installed."""
    data = workspace.directory / "redis"
    data.mkdir(exist_ok=True)
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data),
        "appendonly": "yes" if appendonly else "no",
        "save": "",
        "daemonize": "no",
        # A process title would overwrite the environment, where the warden looks for its mark.
        "set-proc-title": "no",
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Process(
        "redis",
        [find("redis-server"), *arguments],
        log=workspace.log("redis"),
        environment=workspace.environment,
        probe=pongs(port),
    )
