"""Nothing stays behind: not the folder, not a program, however the sandbox ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from extproc.sandbox.error import SandboxError
from extproc.sandbox.warden import VARIABLE
from extproc.sandbox.workspace import Workspace
from tests.sandbox.conftest import exists, gone, reached

SANDBOX = """
import asyncio, json, subprocess, sys
from pathlib import Path
from extproc.sandbox.site import open_sites

async def main():
    async with open_sites(Path(sys.argv[1])) as sites:
        hidden = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True,
            env=dict(sites.parts["auth"]._environment),
        )
        pids = [pid for part in sites.parts.values() for pid in part.pids()]
        print(json.dumps([*pids, hidden.pid]), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_of_the_sandbox_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SANDBOX, str(folder)), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    pids = json.loads(await child.stdout.readline())
    assert len(pids) == 5
    child.kill()
    await child.wait()
    assert await gone(pids)
    assert await reached(lambda: not exists(folder))


async def test_the_warden_outlives_the_signals_of_a_terminal(workspace: Workspace) -> None:
    warden = workspace._warden
    assert warden is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(warden.pid, number)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(warden.wait(), 0.2)


async def test_the_folders_are_removed_at_the_end(tmp_path: Path) -> None:
    async with Workspace(tmp_path / "new") as workspace:
        folders = [workspace.directory, workspace.sockets]
        assert all(folder.is_dir() for folder in folders)
        assert workspace.sockets.stat().st_mode & 0o777 == 0o700
        assert len(str(workspace.sockets / "worker-255.sock")) < 100
    assert not any(folder.exists() for folder in folders)


async def test_a_kept_folder_stays(tmp_path: Path) -> None:
    async with Workspace(tmp_path / "kept", keep=True) as workspace:
        workspace.log("x").touch()
    assert (tmp_path / "kept" / "x.log").exists()
    assert not workspace.sockets.exists()


async def test_a_workspace_that_was_never_opened_is_removed_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new")
    await workspace.close()
    assert not workspace.directory.exists()


def test_a_folder_with_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(SandboxError, match="is not empty: give an empty or a new one"):
        Workspace(tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(SandboxError, match="cannot be used: File exists"):
        Workspace(tmp_path / "mine")


async def test_programs_do_not_see_what_would_change_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "example:1")
    monkeypatch.setenv("https_proxy", "http://example:1")
    monkeypatch.setenv("GEO_EXTPROC_POLICY__MAX_STALENESS", "5")
    monkeypatch.setenv(VARIABLE, "another sandbox")
    environment = workspace.environment
    assert not {"REGISTRY_HTTP_ADDR", "https_proxy"} & set(environment)
    assert environment["GEO_EXTPROC_POLICY__MAX_STALENESS"] == "5"
    assert environment[VARIABLE] != "another sandbox"
