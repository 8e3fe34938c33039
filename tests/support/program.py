"""`geo-extproc serve` as a process of its own: on free ports, in a folder of its own, ended with all its workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.tokens_in_logs import look

_WITHIN = 20.0
SITES = 'sites.primary.url = "http://127.0.0.1:1"\nsites.secondary.url = "http://127.0.0.1:2"\n'


def eventually(true: Callable[[], object], what: str) -> None:
    """Look until it is so; AssertionError when it never is."""
    deadline = time.monotonic() + _WITHIN
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {_WITHIN} s: {what}")
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Program:
    """`with Program(folder, settings) as program: …`; the settings are TOML, without admin and sites."""

    home = Path(__file__).parents[2]
    """Where it is run: the package that lies there is found first, but where PYTHONSAFEPATH says otherwise."""

    def __init__(self, folder: Path, settings: str = "", *, auth: str = 'auth.mode = "passthrough"\n') -> None:
        self.folder = folder
        self.config = folder / "geo.toml"
        self.admin_port = free_port()
        self._errors = folder / "stderr"
        self._process: subprocess.Popen[bytes] | None = None
        self.workers_seen: set[int] = set()
        self.config.write_text(
            f'{auth}{SITES}admin.address = "127.0.0.1:{self.admin_port}"\n'
            f"{settings if 'socket_dir' in settings else settings + self._sockets()}\n"
        )

    def rewrite(self, change: Callable[[str], str]) -> None:
        """The settings, swapped as a mounted file is: never half written."""
        new = self.config.with_name("new.toml")
        new.write_text(change(self.config.read_text()))
        new.rename(self.config)

    def _sockets(self) -> str:
        return '\nserver.socket_dir = "run"\nserver.drain = 0.2\n'

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            workers = self.workers() | self.workers_seen
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            for pid in workers:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
            look([self._errors])

    def start(self) -> None:
        """Start it, and wait for nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GEO_EXTPROC_")}
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "extproc", "serve", "--config", str(self.config)],
                stderr=errors,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=self.home,
            )

    def ready(
        self,
        *,
        workers: int = 1,
        store: str = "ok",
        mode: str = "serve",
        configuration: str = "ok",
        keys: str = "ok",
    ) -> None:
        """Wait until `/readyz` says so."""
        told = {"store": store, "workers": workers, "mode": mode, "configuration": configuration, "keys": keys}
        wanted = (200, {"ready": True, **told})

        def is_so() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.errors
            return self.readyz() == wanted

        eventually(is_so, f"/readyz gives {wanted}")
        self.workers_seen |= self.workers()

    def readyz(self) -> tuple[int, Any]:
        """Status and document; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, None

    def workers(self) -> set[int]:
        """The pids of its child processes now."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return set()
        return {int(pid) for pid in text.split()}

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        code = self._process.wait(_WITHIN)
        assert self._process.stdout is not None
        assert self._process.stdout.read() == b""
        self._process.stdout.close()
        return code

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return self._errors.read_text()

    @property
    def sentences(self) -> list[str]:
        """What it wrote for people: not the lines of its log."""
        return [line for line in self.errors.splitlines() if not line.startswith("{")]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines whose event begins so."""
        return [line for line in self.log if line["event"].startswith(event)]
