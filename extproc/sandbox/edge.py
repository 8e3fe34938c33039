"""What a secondary site adds: the processor, and Envoy in front of both registries under the unified URL."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extproc.sandbox.error import SandboxError
from extproc.sandbox.issuer import ISSUER, SERVICE
from extproc.sandbox.ports import HOST
from extproc.sandbox.probe import answers
from extproc.sandbox.process import Process
from extproc.sandbox.program import find
from extproc.sandbox.scope import PASSWORDS
from extproc.sandbox.site import Sites
from extproc.sandbox.workspace import Workspace

Table = dict[str, Any]
Overrides = Mapping[str, Any]
"""Settings by section, as in the TOML file: `{"policy": {"max_staleness": 0}}`."""

Rendering = Callable[[Path], str]
"""From the file of the settings to Envoy's bootstrap."""

DRAIN = 1.0
"""Seconds; the default of 5 would make every stop of a sandbox as long."""


@dataclass(slots=True)
class Edge:
    """Where it listens, its files, and its programs by name, in their order."""

    registry_url: str
    admin_url: str
    envoy_admin_url: str
    config_file: Path
    envoy_config_file: Path
    access_log_file: Path
    settings: Table
    parts: dict[str, Process] = field(default_factory=dict)


def build_edge(
    workspace: Workspace,
    sites: Sites,
    *,
    workers: int = 1,
    fallback: str = "composite",
    max_staleness: float = 60.0,
    overrides: Overrides | None = None,
    rendering: Rendering | None = None,
) -> Edge:
    """Write the processor's configuration; start nothing. `rendering` is done in place of the command's.

    Raises SandboxError when Envoy is not installed.
    """
    folder, ports = workspace.directory, workspace.ports
    listen, envoy_admin = ports.take(), ports.take()
    tls = sites.authority.issue("unified") if sites.authority else None
    access_log = folder / "access.log"
    secret = folder / "notifications.secret"
    secret.touch(mode=0o600)
    secret.write_text(sites.notification_authorization.removeprefix("Bearer "))
    password = folder / "service-account.password"
    password.touch(mode=0o600)
    password.write_text(PASSWORDS["admin"])
    settings: Table = {
        "server": {"workers": workers, "socket_dir": str(workspace.sockets), "drain": DRAIN},
        "admin": {"address": f"{HOST}:{sites.admin_port}"},
        "auth": {
            "realm": sites.auth_url,
            "service": SERVICE,
            "issuer": ISSUER,
            "keys": [str(sites.signing.certificate)],
        },
        "store": {"url": sites.redis_url or "memory://"},
        "policy": {"max_staleness": float(max_staleness)},
        "notifications": {"secret_file": str(secret)},
        # For `geo-extproc reconcile`: only the admin may list all names. By itself it asks for nothing.
        "service_account": {"username": "admin", "password_file": str(password), "renew": False},
        "sites": {
            "primary": _site(sites.primary_wan_url, sites.ca_file),
            "secondary": _site(sites.secondary.url, sites.ca_file),
            "issuer": _site(sites.issuer_url, sites.ca_file),
        },
        "envoy": {
            "listen": f"{HOST}:{listen}",
            "admin": f"{HOST}:{envoy_admin}",
            "access_log": str(access_log),
            "fallback": fallback,
        },
    }
    if tls:
        settings["envoy"] |= {"certificate": str(tls.certificate), "private_key": str(tls.private_key)}
    settings = merged(settings, overrides or {})
    edge = Edge(
        registry_url=f"{'https' if tls else 'http'}://{HOST}:{listen}",
        admin_url=f"http://{HOST}:{sites.admin_port}",
        envoy_admin_url=f"http://{HOST}:{envoy_admin}",
        config_file=folder / "geo-extproc.toml",
        envoy_config_file=folder / "envoy.yaml",
        access_log_file=access_log,
        settings=settings,
    )
    edge.config_file.write_text(toml(settings))
    edge.parts["extproc"] = Process(
        "extproc",
        [sys.executable, "-m", "extproc", "serve", "--config", str(edge.config_file)],
        log=workspace.log("extproc"),
        environment=workspace.environment,
        probe=answers(f"{edge.admin_url}/readyz", 200),
        grace=3 * float(settings["server"]["drain"]) + 5,
    )
    edge.parts["envoy"] = _Envoy(edge, workspace, sites.ca_file, rendering)
    return edge


class _Envoy(Process):
    """Rendered from the processor's settings each time it starts, as they are then."""

    def __init__(self, edge: Edge, workspace: Workspace, ca: Path | None, rendering: Rendering | None) -> None:
        admin = answers(f"{edge.envoy_admin_url}/ready", 200)
        unified = answers(f"{edge.registry_url}/v2/", edge_status(edge.settings), ca)

        async def probe() -> bool:
            return await admin() and await unified()

        super().__init__(
            "envoy",
            [
                *(find("envoy"), "--config-path", str(edge.envoy_config_file)),
                *("--use-dynamic-base-id", "--log-level", "warn", "--concurrency", "2"),
                *("--file-flush-interval-msec", "100"),  # the access log soon, not after ten seconds
            ],
            log=workspace.log("envoy"),
            environment=workspace.environment,
            probe=probe,
        )
        self._edge = edge
        self._env = workspace.environment
        self._rendering = rendering

    async def spawn(self) -> None:
        if not self.running:
            if self._rendering is None:
                await render(self._edge, self._env)
            else:
                self._edge.envoy_config_file.write_text(self._rendering(self._edge.config_file))
        await super().spawn()


def edge_status(settings: Table) -> int:
    """What the unified URL answers to a request without a token, once everything is up."""
    return 401 if settings["auth"].get("mode", "token") == "token" else 200


async def render(edge: Edge, environment: Mapping[str, str]) -> None:
    """Write Envoy's configuration with the command that users have. Raises SandboxError."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extproc", "envoy-config", "--config", str(edge.config_file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    text, complaint = await child.communicate()
    if child.returncode != 0:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2] or "it wrote nothing"
        raise SandboxError(f"envoy-config stopped with code {child.returncode}: {last}")
    edge.envoy_config_file.write_bytes(text)


def merged(settings: Overrides, overrides: Overrides) -> Table:
    """Both, table by table; an override of None removes the setting."""
    result: Table = dict(settings)
    for name, value in overrides.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[name] = value
    return result


def toml(document: Overrides, path: tuple[str, ...] = ()) -> str:
    """TOML of tables, strings, numbers, booleans and arrays; JSON's text of those is TOML's too."""
    own = {name: value for name, value in document.items() if not isinstance(value, Mapping)}
    lines = [f"[{'.'.join(path)}]"] if path and own else []
    for name, value in own.items():
        lines.append(f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}")
    if lines:
        lines.append("")
    below = [toml(value, (*path, name)) for name, value in document.items() if isinstance(value, Mapping)]
    return "\n".join(lines) + ("\n" if lines else "") + "".join(below)


def _site(url: str, ca: Path | None) -> Table:
    # Names in certificates are matched as DNS names, so the address gets one.
    return {"url": url, "ca": str(ca), "server_name": "localhost"} if ca else {"url": url}
