"""What the sandbox's tests share."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from extproc.sandbox.certificates import Pair, signing_pair
from extproc.sandbox.workspace import Workspace


@pytest.fixture(scope="session")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return signing_pair(tmp_path_factory.mktemp("signing"))


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with Workspace(tmp_path / "sandbox") as opened:
        yield opened


def basic(user: str, password: str) -> dict[str, str]:
    """The header of RFC 7617."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def run(command: Sequence[str]) -> tuple[int, str]:
    """A command's exit code and its output."""
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode()


def alive(pid: int) -> bool:
    """Is it there, and not only as a zombie that nobody has waited for?"""
    return state_of(pid) not in ("", "Z")


def state_of(pid: int) -> str:
    """The kernel's letter, such as S or T; empty for no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return ""


def exists(path: Path | str) -> bool:
    return Path(path).exists()


async def reached(condition: Callable[[], bool], within: float = 5.0) -> bool:
    """Does it become true in time?"""
    for _ in range(int(within / 0.01)):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


async def gone(pids: Sequence[int]) -> bool:
    """Do all end in time?"""
    return await reached(lambda: not any(alive(pid) for pid in pids))
