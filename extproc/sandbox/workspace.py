"""The sandbox's folder, its ports, and the warden that clears them away."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from extproc.sandbox import warden
from extproc.sandbox.error import SandboxError
from extproc.sandbox.ports import Ports

_NOT_PASSED_ON = ("REGISTRY_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Workspace:
    """A folder for files and logs, a short one for Unix sockets, ports, and the environment of every program.

    A given `directory` must be empty or not exist yet; it is removed at the end unless `keep`.
    """

    def __init__(self, directory: Path | None = None, *, keep: bool = False) -> None:
        self.directory = _prepared(directory)
        # A Unix socket's path is limited to 107 bytes (unix(7)); the given directory may be longer.
        self.sockets = Path(tempfile.mkdtemp(prefix="geo-"))
        self.ports = Ports()
        self._mark = secrets.token_hex(16)
        self._folders = [self.sockets] if keep else [self.sockets, self.directory]
        self._warden: asyncio.subprocess.Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For each program: ours, without what would change the parts behind our back, and with the mark."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(_NOT_PASSED_ON) and name != warden.VARIABLE
        }
        return {**kept, warden.VARIABLE: self._mark}

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    async def open(self) -> None:
        """Set the warden to watch over us. Raises SandboxError."""
        self._warden = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", warden.__file__, self._mark, *(str(folder) for folder in self._folders)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert self._warden.stdout is not None  # noqa: S101 - a pipe was asked for
        if await self._warden.stdout.readline() != b"ready\n":
            raise SandboxError("the process that cleans up after the sandbox did not start")

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the ports back and let the warden end and remove what is left."""
        self.ports.close()
        if self._warden is None:  # never opened, so nothing runs
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
            return
        assert self._warden.stdin is not None  # noqa: S101 - a pipe was asked for
        self._warden.stdin.close()
        await self._warden.wait()


def _prepared(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="geo-"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise SandboxError(f"the folder {str(directory)!r} is not empty: give an empty or a new one")
    except OSError as error:
        raise SandboxError(f"the folder {str(directory)!r} cannot be used: {error.strerror}") from error
    return directory.resolve()
