"""Skopeo: the client that people have, for pushes, for pulls that are timed, and as the replication job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from extproc.sandbox.demo.client import digest_of
from extproc.sandbox.demo.step import StepFailed
from extproc.sandbox.program import find


class Skopeo:
    """Copies images. Its own files stay in `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Raises SandboxError when it is not installed."""
        self._program = find("skopeo")
        self._folder = folder
        own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self._environment = {**environment, **own}
        self._pulls = 0

    async def push(self, layout: Path, tag: str, url: str, name: str) -> float:
        """As admin; milliseconds. Raises StepFailed."""
        return await self._copy(f"oci:{layout}:{tag}", _docker(url, name), "--dest-creds=admin:admin")

    async def pull(self, url: str, name: str) -> tuple[float, str]:
        """As reader, into a folder; milliseconds and the manifest's digest. Raises StepFailed."""
        self._pulls += 1
        folder = self._folder / f"pull-{self._pulls}"
        took = await self._copy(_docker(url, name), f"dir:{folder}", "--src-creds=reader:reader")
        return took, digest_of((folder / "manifest.json").read_bytes())

    async def replicate(self, source: str, target: str, name: str) -> float:
        """From one registry to another; milliseconds. Raises StepFailed."""
        credentials = ("--src-creds=admin:admin", "--dest-creds=admin:admin")
        return await self._copy(_docker(source, name), _docker(target, name), *credentials)

    async def _copy(self, source: str, target: str, *options: str) -> float:
        plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
        started = time.perf_counter()
        child = await asyncio.create_subprocess_exec(
            *(self._program, "--insecure-policy", "copy", "--quiet", "--all", *plain, *options, source, target),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        try:
            _, complaint = await child.communicate()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        took = (time.perf_counter() - started) * 1000
        if child.returncode != 0:
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise StepFailed(f"skopeo copy {source} {target} stopped with code {child.returncode}: {last}")
        return took


def _docker(url: str, name: str) -> str:
    return f"docker://{url.partition('://')[2]}/{name}"
