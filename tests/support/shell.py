"""The clients that people use, run as commands against a sandbox."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from extproc.sandbox.system import Sandbox

NAME = "clients/app"


class Shell:
    """Runs the clients with storage and credentials of their own."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        where = sandbox.describe()
        self.folder = folder
        self.registry = where["registry_url"].partition("//")[2]
        self.primary = where["primary_url"].partition("//")[2]
        self.secondary = where["secondary_url"].partition("//")[2]
        self.where = where
        self._environment = dict(os.environ) | {
            "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
        }

    async def run(self, *command: str) -> str:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=self._environment,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaint = await child.communicate()
        assert child.returncode == 0, f"{' '.join(command)}: {complaint.decode()}"
        return output.decode()

    def storage(self, runroot: str) -> list[str]:
        """vfs needs no kernel feature; both tools take the same flags. podman refuses a long `runroot`."""
        return ["--root", str(self.folder / "root"), "--runroot", runroot, "--storage-driver", "vfs"]

    async def digest_at(self, registry: str, tag: str) -> str:
        text = await self.run(
            *("skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "admin:admin"),
            f"docker://{registry}/{NAME}:{tag}",
        )
        (self.folder / "raw.json").write_text(text)
        return (await self.run("skopeo", "manifest-digest", "raw.json")).strip()

    async def replicate(self, tag: str) -> None:
        await self.run(
            *("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *("--src-creds", "admin:admin", "--dest-creds", "admin:admin"),
            *(f"docker://{self.primary}/{NAME}:{tag}", f"docker://{self.secondary}/{NAME}:{tag}"),
        )
