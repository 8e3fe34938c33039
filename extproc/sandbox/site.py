"""The two sites as they are without us: a token issuer, two registries, and the WAN between them. Plus a Redis."""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from extproc.sandbox import issuer
from extproc.sandbox.certificates import Authority, Pair, signing_pair
from extproc.sandbox.ports import HOST
from extproc.sandbox.probe import accepts, answers
from extproc.sandbox.process import Process
from extproc.sandbox.redis import redis_server
from extproc.sandbox.registry import Notifications, Registry
from extproc.sandbox.workspace import Workspace


@dataclass(slots=True)
class Sites:
    """What clients and the processor need to know of the two sites, and the programs by name, in their order."""

    primary: Registry
    secondary: Registry
    primary_wan_url: str
    """The primary across the WAN: the relay's URL, or its own where there is no delay."""
    auth_url: str
    signing: Pair
    redis_url: str | None
    admin_port: int
    """Reserved for the processor."""
    notification_authorization: str
    authority: Authority | None = None
    parts: dict[str, Process] = field(default_factory=dict)

    @property
    def ca_file(self) -> Path | None:
        return self.authority.file if self.authority else None

    @property
    def issuer_url(self) -> str:
        """The issuer's scheme, host and port."""
        return self.auth_url.removesuffix(issuer.PATH)


def build_sites(
    workspace: Workspace,
    *,
    state: str = "redis",
    wan_rtt: float = 0,
    wan_mbit: float = 0,
    tls: bool = False,
    notify: str | None = None,
) -> Sites:
    """Write keys and configurations; start nothing. `wan_rtt` in milliseconds, `wan_mbit` in megabits a second, 0 for
    no limit; `notify`: the URL that both registries notify instead of the processor's.

    Raises SandboxError when a program is not installed.
    """
    folder, ports = workspace.directory, workspace.ports
    authority = Authority(folder) if tls else None
    signing = signing_pair(folder)
    scheme = "https" if tls else "http"
    auth_port, admin_port = ports.take(), ports.take()
    auth_url = f"{scheme}://{HOST}:{auth_port}{issuer.PATH}"
    authorization = f"Bearer {secrets.token_urlsafe(24)}"
    told = notify or f"http://{HOST}:{admin_port}"

    def registry(name: str) -> Registry:
        return Registry(
            name=name,
            port=ports.take(),
            root=folder / f"{name}-data",
            realm=auth_url,
            trusted=signing.certificate,
            secret=secrets.token_hex(16),
            notifications=Notifications(f"{told}/notifications/{name}", authorization),
            tls=authority.issue(name) if authority else None,
        )

    sites = Sites(
        primary=registry("primary"),
        secondary=registry("secondary"),
        primary_wan_url="",
        auth_url=auth_url,
        signing=signing,
        redis_url=None,
        admin_port=admin_port,
        notification_authorization=authorization,
        authority=authority,
    )
    sites.parts["auth"] = _issuer(workspace, sites, auth_port)
    for each in (sites.primary, sites.secondary):
        sites.parts[each.name] = each.process(workspace, sites.ca_file)
    if state == "redis":
        port = ports.take()
        sites.redis_url = f"redis://{HOST}:{port}/0"
        sites.parts["redis"] = redis_server(workspace, port)
    sites.primary_wan_url = sites.primary.url
    if wan_rtt > 0 or wan_mbit > 0:
        port = ports.take()
        sites.primary_wan_url = f"{scheme}://{HOST}:{port}"
        sites.parts["wan"] = _relay(workspace, port, sites.primary.port, wan_rtt, wan_mbit)
    return sites


def _issuer(workspace: Workspace, sites: Sites, port: int) -> Process:
    command = [sys.executable, "-m", "extproc.sandbox.issuer", f"{HOST}:{port}"]
    command += ["--key", str(sites.signing.private_key)]
    if sites.authority:
        pair = sites.authority.issue("auth")
        command += ["--certificate", str(pair.certificate), "--private-key", str(pair.private_key)]
    question = f"{sites.auth_url}?service={issuer.SERVICE}&scope=repository:public/ready:pull"
    return Process(
        "auth",
        command,
        log=workspace.log("auth"),
        environment=workspace.environment,
        probe=answers(question, 200, sites.ca_file),
    )


def _relay(workspace: Workspace, port: int, target: int, rtt: float, mbit: float) -> Process:
    command = [sys.executable, "-m", "extproc.sandbox.relay", f"{HOST}:{port}", f"{HOST}:{target}"]
    return Process(
        "wan",
        [*command, "--rtt", str(rtt), "--mbit", str(mbit)],
        log=workspace.log("wan"),
        environment=workspace.environment,
        probe=accepts(port),
    )


async def start_all(parts: dict[str, Process]) -> None:
    """Start programs that do not need each other to start. Raises SandboxError."""
    for part in parts.values():
        await part.spawn()
    for part in parts.values():
        await part.wait_ready()


async def stop_all(parts: dict[str, Process]) -> None:
    """Stop them, the last first."""
    for part in reversed(parts.values()):
        await part.stop()


@asynccontextmanager
async def open_sites(
    directory: Path | None = None, *, state: str = "redis", wan_rtt: float = 0, tls: bool = False
) -> AsyncIterator[Sites]:
    """The two sites alone, running; everything is gone afterwards. Raises SandboxError."""
    async with Workspace(directory) as workspace:
        sites = build_sites(workspace, state=state, wan_rtt=wan_rtt, tls=tls)
        try:
            await start_all(sites.parts)
            yield sites
        finally:
            await stop_all(sites.parts)
