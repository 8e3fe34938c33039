"""The processor and Envoy as in hardened containers: two users of no rights, nothing to write to but the sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from extproc.bootstrap import render
from extproc.settings import Settings
from tests.bootstrap.stand_in import Upstream, upstream
from tests.support.container import CHECKOUT, GROUP, OTHER_USER, USER, contained, why_not
from tests.support.envoy import EXECUTABLE
from tests.support.ports import free_port
from tests.support.program import Program, eventually
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.e2e

CONTAINERS = pytest.mark.skipif(bool(why_not()), reason=f"needs mount namespaces: {why_not()}")
BLOB = f"/v2/group/app/blobs/sha256:{'0' * 64}"
REPORT = """
import os, sys
def may_write(folder):
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY)
    except OSError:
        return False
    os.close(descriptor)
    return True
print(os.getuid(), "HOME" in os.environ, *(each for each in sys.argv[1:] if may_write(each)))
"""


class Contained(Program):
    """`geo-extproc serve` in a container of its own."""

    def __init__(self, folder: Path, sockets: Path, settings: str) -> None:
        super().__init__(folder, settings)
        self.sockets = sockets

    def start(self) -> None:
        root = self.folder / "root of serve"
        root.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "extproc", "serve", "--config", str(self.config)]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                contained(command, root, readable=[self.folder], writable=[self.sockets], groups=[GROUP]),
                stderr=errors,
                stdout=subprocess.PIPE,
            )


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """A volume that both containers mount, as Kubernetes gives it to a pod with an fsGroup."""
    folder = tmp_path / "v"  # a socket has a short path
    folder.mkdir()
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2770)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Of settings, for both to read and for neither to write."""
    folder = tmp_path / "settings"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@CONTAINERS
def test_the_container_lets_nothing_be_written_but_what_is_given(tmp_path: Path, sockets: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    places = [*("/", "/tmp", "/var/tmp", "/run", "/root", "/dev", "/dev/shm"), str(CHECKOUT), str(sockets)]  # noqa: S108
    done = subprocess.run(
        contained([sys.executable, "-c", REPORT, *places], root, writable=[sockets], groups=[GROUP]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(USER), "False", str(sockets)]
    assert list(root.iterdir()) == [], "its mounts went with it"


@CONTAINERS
@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_two_users_serve_from_read_only_containers(
    tmp_path: Path, sockets: Path, files: Path, store: str
) -> None:
    with ExitStack() as stack:
        url, workers = "memory://", 1
        if store == "redis":
            port = free_port()
            stack.enter_context(RedisServer(tmp_path / "redis", port=port))
            url, workers = f"redis://127.0.0.1:{port}", 2
        async with upstream("primary") as primary, upstream("secondary") as secondary:
            program = Contained(
                files,
                sockets,
                f'store.url = "{url}"\n'
                f"server = {{workers = {workers}, drain = 0.2, socket_access = 'group', "
                f"socket_dir = '{sockets}/geo'}}\n"
                f'envoy.listen = "127.0.0.1:{free_port()}"\nenvoy.admin = "127.0.0.1:{free_port()}"\n',
            )
            program.rewrite(sites(primary, secondary))
            with program:
                await asyncio.to_thread(program.ready, workers=workers)
                async with contained_envoy(program) as (ask, access_log):
                    await until_decided(ask)
                    assert await ask("GET") == (200, "secondary", "digest-unknown")
                last = access_log()[-1]
                assert (last["method"], last["site"], last["reason"]) == ("GET", "secondary", "digest-unknown")
                own = sockets / "geo"
                assert own.stat().st_mode & 0o777 == 0o750
                for socket in own.iterdir():
                    found = socket.stat()
                    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (USER, GROUP, 0o660)
                program.send(signal.SIGTERM)
                assert await asyncio.to_thread(program.ended) == 0
            assert program.sentences == []
            assert [line for line in program.log if line["level"] in {"warning", "error", "critical"}] == []
            assert [line.line for line in secondary.seen][-1] == f"GET {BLOB}"


@CONTAINERS
@pytest.mark.parametrize("store", ["memory://", "redis://127.0.0.1:1"])
def test_a_group_that_the_processor_is_not_in(sockets: Path, files: Path, store: str) -> None:
    os.chown(sockets, USER, GROUP + 1)
    sockets.chmod(0o770)  # with the setgid bit the sockets would be given the group by themselves
    server = f"server = {{socket_access = 'group', socket_dir = '{sockets}'}}\n"
    with Contained(files, sockets, f'store.url = "{store}"\n{server}') as program:
        assert program.ended() == 1
        (sentence,) = program.sentences
        assert f"this user is not in group {GROUP + 1}, which {sockets} has; " in sentence
        assert list(sockets.iterdir()) == []


def sites(primary: Upstream, secondary: Upstream) -> Callable[[str], str]:
    def change(text: str) -> str:
        return text.replace("http://127.0.0.1:1", primary.url, 1).replace("http://127.0.0.1:2", secondary.url, 1)

    return change


Ask = Callable[[str], Any]


@asynccontextmanager
async def contained_envoy(program: Contained) -> AsyncIterator[tuple[Ask, Callable[[], list[dict[str, Any]]]]]:
    """By its rendered configuration, as it is. Gives a way to ask for the blob (its answer: status, site and reason),
    and the lines of its access log."""
    settings = Settings.load(program.config)
    config, log, root = program.folder / "envoy.yaml", program.folder / "envoy.log", program.folder / "root of envoy"
    config.write_text(render(settings))
    root.mkdir()
    command = [str(EXECUTABLE), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with log.open("wb") as output:
        envoy = await asyncio.create_subprocess_exec(
            *contained(
                command,
                root,
                readable=[program.folder, program.sockets],
                user=OTHER_USER,
                groups=[GROUP],
            ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def ask(method: str) -> tuple[int, str | None, str | None] | None:
            assert envoy.returncode is None, log.read_text()
            try:
                async with session.request(method, f"http://{settings.envoy.listen}{BLOB}") as answer:
                    return answer.status, answer.headers.get("x-geo-site"), answer.headers.get("x-geo-reason")
            except aiohttp.ClientConnectionError:
                return None

        def access_log() -> list[dict[str, Any]]:
            return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]

        try:
            yield ask, access_log
        finally:
            if envoy.returncode is None:
                envoy.terminate()
            await envoy.wait()


async def until_decided(ask: Ask) -> None:
    """Envoy is there, and has seen that a worker is."""
    async with asyncio.timeout(20):
        while (answer := await ask("HEAD")) is None or answer[2] is None:  # noqa: ASYNC110 - it happens in other processes
            await asyncio.sleep(0.02)


def test_nothing_of_the_environment_is_needed(tmp_path: Path) -> None:
    """No HOME, no PATH, a working directory that is no place of ours; also where there are no namespaces."""

    class Bare(Program):
        def start(self) -> None:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "extproc", "serve", "--config", str(self.config)],
                    stderr=errors,
                    stdout=subprocess.PIPE,
                    env={},
                    cwd="/proc",
                )

    with Bare(tmp_path) as program:
        program.ready()
        program.send(signal.SIGTERM)
        assert program.ended() == 0
        assert program.sentences == []
        eventually(lambda: not list(program.run.iterdir()), "the sockets have gone")
