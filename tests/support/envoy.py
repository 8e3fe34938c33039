"""A real Envoy for tests: on ports that the kernel picks, ready when the context is entered, gone when it is left."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

EXECUTABLE = Path(sys.executable).parent / "envoy"
_READY_WITHIN = 20.0
_GONE_WITHIN = 10.0


@dataclass(frozen=True)
class Envoy:
    """One that runs. `url` is its first listener's, without a trailing slash."""

    url: str
    admin_url: str
    pid: int
    log: Path
    """What it wrote: its own log, and the access log where that goes to standard output."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def stats(self, filter_: str) -> dict[str, int]:
        """Counters and gauges whose names match the regular expression."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.admin_url}/stats", params={"filter": filter_}) as response,
        ):
            lines = (await response.text()).splitlines()
        pairs = (line.rsplit(": ", 1) for line in lines)
        return {name: int(value) for name, value in pairs if value.isdecimal()}

    async def listener_url(self, name: str) -> str:
        """Of that listener, without a trailing slash; it speaks plain HTTP."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.admin_url}/listeners", params={"format": "json"}) as response,
        ):
            found = (await response.json(content_type=None))["listener_statuses"]
        (address,) = [listener["local_address"]["socket_address"] for listener in found if listener["name"] == name]
        return f"http://{address['address']}:{address['port_value']}"


def validate(config: str, folder: Path) -> str:
    """Envoy's objections to a configuration, and its warnings; empty when there are none."""
    file = folder / "validated.yaml"
    file.write_text(config)
    done = subprocess.run(
        [EXECUTABLE, "--mode", "validate", "-c", file, "-l", "warning", "--disable-hot-restart"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.endswith("OK")]
    if done.returncode != 0 and not said:
        said = [f"exit code {done.returncode}"]
    return "\n".join(said)


@asynccontextmanager
async def running(config: str, folder: Path, *, tls: bool = False, concurrency: int = 2) -> AsyncIterator[Envoy]:
    """Run Envoy on `config` (YAML or JSON), but with its listeners and its admin interface on free ports.

    Waits for readiness without blocking the loop: what Envoy checks before it is ready may be served by it.
    """
    document: dict[str, Any] = yaml.safe_load(config)
    listeners = document["static_resources"]["listeners"]
    addresses = [listener["address"] for listener in listeners if "internal_listener" not in listener]
    for address in (*addresses, document["admin"]["address"]):
        address["socket_address"] |= {"address": "127.0.0.1", "port_value": 0}
    file, admin_file, log = folder / "envoy.yaml", folder / "envoy.admin", folder / "envoy.log"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    admin_file.unlink(missing_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(EXECUTABLE),
            *("-c", str(file), "--admin-address-path", str(admin_file), "--concurrency", str(concurrency)),
            # Several Envoys on one machine; and no wait for others' connections at the end.
            *("--disable-hot-restart", "--drain-time-s", "1", "-l", "warning"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        async with asyncio.timeout(_READY_WITHIN):
            admin_url, port = await _ready(process, admin_file, log)
        scheme = "https" if tls else "http"
        yield Envoy(f"{scheme}://127.0.0.1:{port}", admin_url, process.pid, log)
    finally:
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process, admin_file: Path, log: Path) -> tuple[str, int]:
    async with aiohttp.ClientSession() as session:
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"Envoy ended with {process.returncode}:\n{_text(log)}")
            address = _text(admin_file)
            if address:
                admin_url = f"http://{address}"
                async with session.get(f"{admin_url}/ready") as response:
                    is_ready = response.status == 200
                if is_ready:
                    async with session.get(f"{admin_url}/listeners?format=json") as response:
                        found = await response.json(content_type=None)
                    listener = found["listener_statuses"][0]
                    return admin_url, listener["local_address"]["socket_address"]["port_value"]
            await asyncio.sleep(0.02)


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _GONE_WITHIN)
        except TimeoutError:
            process.kill()
    await process.wait()
