"""The pages' commands do what the pages say, on a real system."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from extproc.sandbox.system import Sandbox
from tests.docs.blocks import PAGES, Block, blocks
from tests.support.registry_client import RegistryClient

pytestmark = pytest.mark.e2e

RUN: Final = {page: list(found) for page, found in groupby((each for each in blocks() if each.run), lambda b: b.page)}
NOT_RUN: Final = (Path(__file__).parent / "not_run.txt").read_text().splitlines()
WITHIN: Final = 120
"""Seconds for the commands of a page."""
FENCE: Final = re.compile(r"^ *```\w*$", re.MULTILINE)
_END: Final = "-- end of block {} --"


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """With `group/app:v1` at both sites, and `group/app:v2` at the primary alone."""
    async with Sandbox(workers=2) as running:
        auth = running.sites.auth_url
        async with (
            RegistryClient(running.sites.primary.url, auth) as primary,
            RegistryClient(running.sites.secondary.url, auth) as secondary,
        ):
            for tag, clients in (("v1", (primary, secondary)), ("v2", (primary,))):
                for client in clients:
                    await client.push("group/app", tag, tag)
        yield running


def environment(sandbox: Sandbox, home: Path) -> dict[str, str]:
    where = sandbox.describe()
    names = {
        "REGISTRY": "registry_url",
        "PRIMARY": "primary_url",
        "SECONDARY": "secondary_url",
        "ISSUER": "auth_url",
        "ADMIN": "admin_url",
        "ENVOY_ADMIN": "envoy_admin_url",
        "GEO_EXTPROC_CONFIG": "config_file",
    }
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {name: where[key] for name, key in names.items()} | {"PATH": programs, "HOME": str(home)}


def parted(output: str, count: int) -> Iterator[str]:
    for number in range(count):
        own, _, output = output.partition(_END.format(number))
        yield own


@pytest.mark.parametrize("page", RUN)
async def test_the_commands_of(page: str, sandbox: Sandbox, tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "".join(
        f"{block.code}\necho '{_END.format(number)}'\n" for number, block in enumerate(RUN[page])
    )
    shell = await asyncio.create_subprocess_exec(
        "bash",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env=environment(sandbox, tmp_path),
    )
    async with asyncio.timeout(WITHIN):
        output, _ = await shell.communicate(script.encode())
    said = output.decode()
    assert shell.returncode == 0, said[-3000:]
    for block, own in zip(RUN[page], parted(said, len(RUN[page])), strict=True):
        assert block.said is None or block.prints(own), f"{block.title}\nprinted:\n{own}\nnot:\n{block.said}"


def test_there_are_commands_that_are_run() -> None:
    assert len(RUN) >= 2
    assert sum(map(len, RUN.values())) >= 10


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_no_command_escapes_notice(page: Path) -> None:
    """A fence names its language, and what is indented only is no command."""
    text = page.read_text()
    assert [line for line in FENCE.findall(text)[::2] if line.strip() == "```"] == []
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    commands = r"^ {4,}(?:\$ |sudo |geo-extproc |curl |kubectl |make |helm |docker |podman |skopeo ).*$"
    assert re.findall(commands, prose, re.MULTILINE) == []


def test_each_command_that_is_not_run_is_known() -> None:
    """A new one is a decision: mark it with `<!-- run -->`, or add it to not_run.txt."""
    assert sorted(each.title for each in blocks() if not each.run) == NOT_RUN


@pytest.mark.parametrize(
    ("said", "output", "right"),
    [
        ("a …c\n", "a b c\n", True),
        ("a …c\n", "a b d\n", False),
        ("a\n…\nc\n", "a\nb\nb\nc\n", True),
        ("a\n…\n", "a\n", True),
        ("a\n", "a\r\n\n", True),
        ("a\n", "a\nb\n", False),
        ("(.*)\n", "x\n", False),
    ],
)
def test_what_is_said_is_compared(said: str, output: str, right: bool) -> None:
    assert Block("page", True, "true", said).prints(output) is right
