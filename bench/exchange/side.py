"""What is compared: each side has an Envoy, and most have a processor behind it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.exchange.cpu import cpu_seconds
from bench.exchange.edge import gateway
from extproc.processor.codec import encode_route
from extproc.settings import Settings
from tests.auth.issuer import AUDIENCE, ISSUER, KID, jwk
from tests.support.envoy import Envoy
from tests.support.program import Program, eventually
from tests.support.redis_server import RedisServer

FORMS: Final = {"grpcio": ("grpcio", True), "fastlane": ("fastlane", True), "fastlane_pure": ("fastlane", False)}
"""Our sides: each one's transport, and whether its hot path is compiled, as in the image (docs/install.md)."""
COMPILED: Final = Path(__file__).parents[2] / "build" / "compiled"
_GO: Final = Path(__file__).parents[1] / "go_echo"
_CONSTANT: Final = encode_route([("x-geo-route", "secondary"), ("x-geo-reason", "digest-present")], observe=False)
"""What a yardstick answers each request with."""


@dataclass(frozen=True)
class Side:
    """One of them, running."""

    name: str
    envoy: Envoy
    processor: tuple[int, ...]
    """The processes whose CPU is counted."""
    redis: int | None = None

    def cpu(self) -> float:
        """Seconds that its processor has used."""
        return cpu_seconds(self.processor)


def _settings(url: str, folder: Path, collector: int, transport: str = "grpcio", redis: str = "memory://") -> str:
    """As TOML. Wide bounds in time: the machine is shared, and what runs out of time costs less."""
    return f"""
sites.primary.url = "{url}"
sites.secondary.url = "{url}"
sites.secondary.host = "secondary.example.com"
store.url = "{redis}"
store.budget = 1.0
server.socket_dir = "{folder}/run"
server.transport = "{transport}"
envoy.message_timeout = 5
envoy.access_log = ""
policy.max_staleness = 600
telemetry.exporter = "otlp"
telemetry.otlp_endpoint = "http://127.0.0.1:{collector}"
telemetry.trace_ratio = 0.01
[auth]
realm = "https://issuer/"
issuer = "{ISSUER}"
service = "{AUDIENCE}"
keys = ["{folder}/keys.json"]
"""


def _loaded(folder: Path, text: str) -> Settings:
    (folder / "keys.json").write_text(json.dumps({"keys": [jwk("rsa", kid=KID)]}))
    (folder / "edge.toml").write_text(text)
    return Settings.load(folder / "edge.toml")


@asynccontextmanager
async def without(folder: Path, url: str, collector: int) -> AsyncIterator[Side]:
    """No processor at all."""
    settings = _loaded(folder, _settings(url, folder, collector))
    async with gateway(settings, folder, processor=False) as running:
        yield Side("none", running, ())


@asynccontextmanager
async def yardstick(name: str, folder: Path, url: str, collector: int) -> AsyncIterator[Side]:
    """`go_echo`, `noop_asyncio` or `noop_uvloop`."""
    settings = _loaded(folder, _settings(url, folder, collector))
    socket, answer = settings.server.socket(0), folder / "answer"
    socket.parent.mkdir()
    answer.write_bytes(_CONSTANT)
    if name == "go_echo":
        command = [str(built_echo(folder)), str(socket), str(answer)]
    else:
        command = [sys.executable, "-m", "bench.exchange.noop", str(socket), str(answer), name.removeprefix("noop_")]
    process = _started(command, folder / "server.log")
    try:
        await asyncio.to_thread(eventually, socket.exists, f"{name} listens")
        async with gateway(settings, folder) as running:
            yield Side(name, running, (process.pid,))
    finally:
        process.terminate()
        process.wait()


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, cwd=Path(__file__).parents[2])


def built_echo(folder: Path) -> Path:
    """The echo in Go, by Debian's golang-go and golang-google-grpc-dev."""
    if shutil.which("go") is None:
        raise SystemExit("go is missing: apt-get install golang-go golang-google-grpc-dev")
    built = folder / "go_echo"
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    subprocess.run(["go", "build", "-o", str(built), "main.go"], cwd=_GO, env=environment, check=True)
    return built


@asynccontextmanager
async def ours(name: str, folder: Path, url: str, collector: int, more: str = "") -> AsyncIterator[Side]:
    """The processor with one worker, a Redis of its own, tokens, metrics, and one exchange in a hundred traced.
    `folder` is there; `more`: further settings, as TOML above its tables."""
    transport, compiled = FORMS[name]
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        text = more + _settings(url, folder, collector, transport, redis.url)
        settings = _loaded(folder, text)
        program = stack.enter_context(_Configured(folder, text, compiled=compiled))
        await asyncio.to_thread(program.ready, workers=1)
        running = await stack.enter_async_context(gateway(settings, folder))
        yield Side(name, running, tuple(program.workers()), redis.pid)


class _Configured(Program):
    """With these settings and no others, but the admin's address."""

    def __init__(self, folder: Path, text: str, *, compiled: bool) -> None:
        super().__init__(folder)
        if compiled:
            if not (COMPILED / "extproc").is_dir():
                raise SystemExit("build/compiled is missing: make compiled")
            self.home = COMPILED
        self.config.write_text(f'admin.address = "127.0.0.1:{self.admin_port}"\n{text}')


async def until_steered(side: Side) -> None:
    """Wait until its Envoy uses the processor: the health check must have seen it."""
    async with asyncio.timeout(30):
        stat = "cluster.geo_extproc.membership_healthy"
        while not (await side.envoy.stats(f"^{stat}$")).get(stat):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.1)
