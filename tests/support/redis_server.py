"""A real redis-server for tests, on a Unix socket in a folder of its own; where asked, on a port of loopback too."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

PERSISTENT = ("--appendonly", "yes", "--appendfsync", "always")
"""Options with which all that was acknowledged survives `kill`."""
_READY_WITHIN = 20.0


class RedisServer:
    """`with RedisServer(folder) as server: …`; also start, stop, kill, pause and resume it for faults.

    `options` are words of its command line. Its data survive `stop` and `kill` only with PERSISTENT among them.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: int = 0,
        tls: bool = False,
        config: Path | None = None,
    ) -> None:
        """`tls`: the port speaks it, by certificates named in `options`. `config`: a file that it may write to.
        Without a `port` nothing but the socket listens, and that always without TLS."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = port
        self._tls = tls
        self.password = ""
        """That `command` gives."""
        self._config = [] if config is None else [str(config)]
        # A socket's path may have 107 bytes; pytest's folders are shorter than that.
        self.socket = folder / "redis.sock"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers PING."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        where = ["--unixsocket", str(self.socket), "--dir", str(self.folder), "--bind", "127.0.0.1"]
        where += ["--port", "0", "--tls-port", str(self.port)] if self._tls else ["--port", str(self.port)]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *self._config, *where, "--appendonly", "no", "--save", "", *self.options],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_ready(self) -> None:
        """Until it answers PING. AssertionError, with the end of its log, when it ends or takes too long."""
        assert self._process is not None
        deadline = time.monotonic() + _READY_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"redis-server is not ready: {(self.folder / 'redis.log').read_text()[-2000:]}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            reply = self.command("PING")
        except OSError:
            return False
        # An error of authentication is an answer too.
        return reply.startswith((b"+PONG", b"-NOAUTH"))

    def command(self, *words: str) -> bytes:
        """The raw reply (its first 64 KiB) to one command, past redis-py and its pool."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(_READY_WITHIN)
            peer.connect(str(self.socket))
            if self.password:
                peer.sendall(_packed("AUTH", self.password))
                peer.recv(65536)
            peer.sendall(_packed(*words))
            return peer.recv(65536)

    def ok(self, *words: str) -> None:
        """One command that answers OK."""
        reply = self.command(*words)
        assert reply == b"+OK\r\n", (words, reply)

    def stop(self) -> None:
        """SIGTERM, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, number)
            self._process.wait(_READY_WITHIN)
        self._process = None
        self.socket.unlink(missing_ok=True)

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Look until it is so. AssertionError when it is not in time."""
    deadline = time.monotonic() + _READY_WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {what}"
        time.sleep(0.01)


def _packed(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
