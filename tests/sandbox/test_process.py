"""Programs start, show that they are ready, and end: asked, forced, or by themselves with a reason."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from extproc.sandbox.error import SandboxError
from extproc.sandbox.process import Process, descendants
from extproc.sandbox.program import find
from extproc.sandbox.workspace import Workspace
from tests.sandbox.conftest import alive, gone, reached, state_of


def python(workspace: Workspace, code: str, *, grace: float = 5.0) -> Process:
    """A Python program that is ready once it has created the file FLAG in the sandbox's folder."""
    flag = workspace.directory / "ready"

    async def probe() -> bool:
        return flag.exists()

    return Process(
        "example",
        [sys.executable, "-c", f"from pathlib import Path\nFLAG = Path({str(flag)!r})\n{code}"],
        log=workspace.log("example"),
        environment=workspace.environment,
        probe=probe,
        grace=grace,
    )


SLEEP = "import time\nFLAG.touch()\ntime.sleep(600)"
STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nFLAG.touch()\ntime.sleep(600)"
FAMILY = (
    "import subprocess, sys, time\n"
    "child = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
    "subprocess.Popen(child, start_new_session=True)\nsubprocess.Popen(child)\nFLAG.touch()\ntime.sleep(600)"
)


async def test_stop_asks_and_start_brings_it_back(workspace: Workspace) -> None:
    process = python(workspace, SLEEP)
    await process.start()
    (first,) = process.pids()
    await process.stop()
    assert not process.running
    assert process.pids() == []
    assert not alive(first)
    await process.start()
    assert process.pids() not in ([], [first])
    await process.stop()


async def test_a_program_that_ignores_the_request_is_killed_after_its_grace(workspace: Workspace) -> None:
    process = python(workspace, STUBBORN, grace=0.2)
    await process.start()
    pids = process.pids()
    await process.stop()
    assert await gone(pids)


async def test_kill_takes_the_children_too(workspace: Workspace) -> None:
    process = python(workspace, FAMILY)
    await process.start()
    pids = process.pids()
    assert len(pids) == 3
    assert pids[1:] == descendants(pids[0])
    await process.kill()
    assert await gone(pids)


async def test_a_paused_program_resumes_and_a_paused_one_can_be_stopped(workspace: Workspace) -> None:
    process = python(workspace, SLEEP)
    await process.start()
    (pid,) = process.pids()

    process.pause()
    assert await reached(lambda: state_of(pid) == "T")
    process.resume()
    assert await reached(lambda: state_of(pid) == "S")
    process.pause()
    assert await reached(lambda: state_of(pid) == "T")
    await asyncio.wait_for(process.stop(), 3)
    assert not process.running


async def test_a_program_that_ends_at_its_start_gives_its_last_line(workspace: Workspace) -> None:
    process = python(workspace, "import sys\nprint('reading', flush=True)\nsys.exit('the file is bad\\n\\n')")
    with pytest.raises(SandboxError, match="example stopped at its start with code 1: the file is bad"):
        await process.start()


async def test_a_program_that_never_gets_ready_is_reported(workspace: Workspace) -> None:
    process = Process(
        "slow",
        ["sleep", "600"],
        log=workspace.log("slow"),
        environment=workspace.environment,
        probe=_never,
        ready_within=0.1,
    )
    with pytest.raises(SandboxError, match=r"slow was not ready after 0\.1 s: it wrote nothing"):
        await process.start()
    await process.stop()


async def test_a_start_can_be_cancelled_in_the_moment_in_which_it_gets_ready(workspace: Workspace) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets such a cancellation, and the sandbox would run on after SIGTERM."""
    asked = asyncio.Event()
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def probe() -> bool:
        asked.set()
        return await answer

    process = Process(
        "sleep", ["sleep", "600"], log=workspace.log("sleep"), environment=workspace.environment, probe=probe
    )
    starting = asyncio.create_task(process.start())
    await asked.wait()
    answer.set_result(True)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await process.stop()


async def _never() -> bool:
    raise ConnectionRefusedError


async def test_what_cannot_be_run_is_one_sentence(workspace: Workspace) -> None:
    process = Process("x", ["/nowhere/x"], log=workspace.log("x"), environment={}, probe=_never)
    with pytest.raises(SandboxError, match="x: cannot run '/nowhere/x': No such file"):
        await process.start()


async def test_what_was_not_started_is_not_ready_and_stops_at_once(workspace: Workspace) -> None:
    process = Process("x", ["/nowhere/x"], log=workspace.log("x"), environment={}, probe=_never)
    await process.stop()
    await process.kill()
    process.pause()
    with pytest.raises(SandboxError, match="x was not started"):
        await process.wait_ready()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("docker-registry", "docker-registry is not installed: apt-get install docker-registry"),
        ("redis-server", "redis-server is not installed: apt-get install redis-server"),
        ("curios", "curios is not installed: install curios"),
    ],
)
def test_a_missing_program_names_its_package(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SandboxError) as caught:
        find(name)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1
