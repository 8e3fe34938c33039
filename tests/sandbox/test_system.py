"""The whole system: it says what it is, its parts can be hurt and brought back, and it ends without a trace."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from extproc.sandbox.error import SandboxError
from extproc.sandbox.image import content, write_image
from extproc.sandbox.system import Sandbox
from tests.sandbox.conftest import exists, gone, reached, state_of
from tests.sandbox.test_site import ADMIN, Skopeo

DESCRIPTION = {
    *("registry_url", "primary_url", "primary_wan_url", "secondary_url", "auth_url", "admin_url"),
    *("envoy_admin_url", "redis_url", "config_file", "envoy_config_file", "signing_key_file"),
    *("access_log_file", "directory", "pids"),
}

COMMAND = """
import asyncio, json, sys
from pathlib import Path
from extproc.sandbox.system import Sandbox, run_until_signal

def announce(description):
    print(json.dumps(description), flush=True)

asyncio.run(run_until_signal(Sandbox(Path(sys.argv[1]), state="memory"), announce))
"""


@pytest.mark.e2e
async def test_one_url_over_tls_and_the_wan(tmp_path: Path) -> None:
    async with Sandbox(state="memory", tls=True, wan_rtt=20) as sandbox:
        described = sandbox.describe()
        assert set(described) == {*DESCRIPTION, "ca_file"}
        assert described["redis_url"] is None
        assert list(described["pids"]) == ["redis", "auth", "primary", "secondary", "wan", "extproc", "envoy"]
        assert [name for name, pids in described["pids"].items() if len(pids) != 1] == ["redis"]
        assert exists(described["ca_file"])

        skopeo = Skopeo(sandbox.sites, tmp_path)
        url = sandbox.edge.registry_url
        write_image(tmp_path / "layout", "x", [content(1000)])
        assert await skopeo.login(url, "admin", "admin") == 0
        assert await skopeo.push(tmp_path / "layout", "x", url, "public/app:x", ADMIN) == 0
        await sandbox.kill("secondary")
        assert await skopeo.pull(url, "public/app:x", tmp_path / "one") == 0
        await sandbox.start("secondary")
        await sandbox.restart("envoy")
        assert await skopeo.pull(url, "public/app:x", tmp_path / "two") == 0
    assert not exists(described["directory"])


@pytest.mark.e2e
async def test_workers_are_listed_after_their_supervisor_and_paused_with_it() -> None:
    async with Sandbox(workers=2, settings={"envoy": {"message_timeout": 0.15}}) as sandbox:
        described = sandbox.describe()
        assert set(described) == DESCRIPTION
        pids = described["pids"]["extproc"]
        assert len(pids) == 3
        sandbox.pause("extproc")
        assert await reached(lambda: {state_of(pid) for pid in pids} == {"T"})
        # Nobody decides, so the primary itself asks for a token.
        unified = f"{described['registry_url']}/v2/"
        async with aiohttp.ClientSession() as session, session.get(unified) as response:
            assert response.status == 401
        sandbox.resume("extproc")
        await sandbox.kill("extproc")
        assert await gone(pids)
        await sandbox.start("extproc")
        assert len(sandbox.describe()["pids"]["extproc"]) == 3
        await sandbox.kill("extproc")
        with pytest.raises(SandboxError, match="no part is named 'x': there are auth, primary"):
            sandbox.part("x")


@pytest.mark.e2e
async def test_a_signal_ends_it_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, str(folder)), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    described = json.loads(await child.stdout.readline())
    child.send_signal(signal.SIGINT)
    assert await child.wait() == 0
    assert await gone([pid for pids in described["pids"].values() for pid in pids])
    assert not folder.exists()


@pytest.mark.e2e
async def test_a_signal_during_the_start_ends_it_too(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, str(folder)), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await reached(lambda: exists(folder / "primary.log"))
    child.terminate()
    assert await child.stdout.read() == b""
    assert await child.wait() == 0
    assert not folder.exists()


async def test_what_fails_to_start_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    sandbox = Sandbox(folder, state="memory", settings={"policy": {"max_staleness": "soon"}})
    with pytest.raises(SandboxError, match=r"extproc stopped at its start with code 2: .*max_staleness"):
        await sandbox.__aenter__()
    assert not folder.exists()


def test_workers_that_cannot_share_state_are_refused() -> None:
    with pytest.raises(SandboxError, match="2 workers cannot share state in memory"):
        Sandbox(workers=2, state="memory")


def test_before_the_start_there_is_nothing_to_describe() -> None:
    with pytest.raises(SandboxError, match="has not been started"):
        Sandbox().describe()
