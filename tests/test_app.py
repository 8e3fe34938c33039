"""`serve` with memory:// as a process of its own, and how it cannot."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.app import stop_requested, worker_address
from extproc.transport.service import METHOD
from tests.support.heads import EVERY_TYPE
from tests.support.loaded import loaded
from tests.support.messages import Reply, request_head
from tests.support.ports import free_port, free_ports
from tests.support.program import Program, alive, eventually

HEAD = request_head("GET", "/v2/g/app/manifests/latest", ("accept", EVERY_TYPE[0]))


@pytest.mark.parametrize(
    ("text", "number", "address"),
    [
        pytest.param('server.socket_dir = "/run/x"', 0, "unix:/run/x/worker-0.sock", id="first socket"),
        pytest.param('server.socket_dir = "/run/x"', 7, "unix:/run/x/worker-7.sock", id="another"),
        pytest.param('server.address = "127.0.0.1:9000"', 0, "127.0.0.1:9000", id="first port"),
        pytest.param('server.address = "127.0.0.1:9000"', 3, "127.0.0.1:9003", id="another port"),
        pytest.param('server.address = "[::1]:9000"', 1, "[::1]:9001", id="IPv6"),
    ],
)
def test_worker_address(tmp_path: Path, text: str, number: int, address: str) -> None:
    assert worker_address(loaded(tmp_path, text), number) == address


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_requested(number: signal.Signals) -> None:
    stop = stop_requested()
    try:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 10)
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)


async def reason(address: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_stream(METHOD)()
        await call.write(HEAD)
        reply = Reply.of(await asyncio.wait_for(call.read(), 10))
        await call.done_writing()
        await call.code()
    return reply.set_headers["x-geo-reason"]


class TestServe:
    async def test_serves_drains_and_leaves_nothing(self, tmp_path: Path) -> None:
        with Program(tmp_path) as program:
            await asyncio.to_thread(program.ready)
            address = f"unix:{program.run}/worker-0.sock"
            assert await reason(address) == "tag-unverified"
            assert program.run.stat().st_mode & 0o777 == 0o700
            async with grpc.aio.insecure_channel(address) as channel:
                running: Any = channel.stream_stream(METHOD)()
                await running.write(HEAD)
                assert await asyncio.wait_for(running.read(), 10)
                program.send(signal.SIGTERM)
                await asyncio.to_thread(eventually, lambda: program.logged("draining"), "it drains")
                assert program.readyz()[0] == 503
                await running.done_writing()
                assert await running.code() is grpc.StatusCode.OK
            assert await asyncio.to_thread(program.ended) == 0
            assert list(program.run.iterdir()) == []
            assert program.sentences == []

    async def test_on_a_port(self, tmp_path: Path) -> None:
        port = free_port()
        with Program(
            tmp_path, f'server = {{address = "127.0.0.1:{port}", drain = 0.1, socket_dir = "run"}}'
        ) as program:
            await asyncio.to_thread(program.ready)
            assert await reason(f"127.0.0.1:{port}") == "tag-unverified"
            program.send(signal.SIGINT)
            assert await asyncio.to_thread(program.ended) == 0
            assert not program.run.exists()

    def test_after_a_kill_it_starts_again_over_its_own_socket(self, tmp_path: Path) -> None:
        with Program(tmp_path) as program:
            program.ready()
            program.send(signal.SIGKILL)
            assert program.ended() == -signal.SIGKILL
            assert [path.name for path in program.run.iterdir()] == ["worker-0.sock"]
            program.start()
            program.ready()

    def test_a_second_one_leaves_the_first_alone(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        with Program(tmp_path) as first:
            first.ready()
            settings = f'server = {{socket_dir = "{first.run}", drain = 0.1}}'
            with Program(tmp_path / "other", settings) as second:
                assert second.ended() == 1
                (sentence,) = second.sentences
                assert "another process serves there" in sentence
            first.ready()
            assert (first.run / "worker-0.sock").is_socket()

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
    def test_a_signal_that_asks_for_what_it_cannot_do_ends_nothing(
        self, tmp_path: Path, number: signal.Signals
    ) -> None:
        """SIGHUP while it starts, SIGUSR2 where no worker can be restarted."""
        with socket.create_server(("127.0.0.1", 0)) as issuer:
            auth = f'auth.realm = "https://issuer/"\nauth.keys_url = "http://127.0.0.1:{issuer.getsockname()[1]}/"\n'
            with Program(tmp_path, auth=auth) as program:
                issuer.settimeout(20)
                connection, _ = issuer.accept()
                program.send(number)
                connection.close()
                eventually(lambda: program.readyz()[0] == 503, "it has started, without a key")
                program.send(signal.SIGUSR2)
                program.send(signal.SIGTERM)
                assert program.ended() == 0


REDIS = 'store.url = "redis://127.0.0.1:1"\nserver.workers = 2\n'
TOKEN = 'auth.realm = "https://issuer/"\nauth.keys = ["key.pem"]\n'


class TestCannotServe:
    """One sentence, an exit code, and nothing left running."""

    @pytest.mark.parametrize(
        ("settings", "auth", "code", "parts"),
        [
            pytest.param("server.workers = 0", "", 2, ["server.workers", "0"], id="a wrong setting"),
            pytest.param("", TOKEN, 2, ["key.pem cannot be read", "No such file", "auth.keys"], id="no key"),
            pytest.param(
                "", TOKEN.replace("key.pem", "."), 2, ["cannot be read", "Is a directory"], id="an unreadable key"
            ),
            pytest.param("", TOKEN.replace("key.pem", "geo.toml"), 2, ["neither PEM nor a JWKS"], id="a broken key"),
            pytest.param(
                'server.socket_dir = "/proc/geo"', "", 1, ["/proc/geo/", "server.socket_dir"], id="socket_dir"
            ),
            pytest.param(
                REDIS + 'server.socket_dir = "/proc/geo"', "", 1, ["/proc/geo/", "server.socket_dir"], id="of workers"
            ),
            pytest.param(
                REDIS + 'store.password_file = "nowhere"',
                "",
                2,
                ["redis://127.0.0.1:1", "/nowhere", "correct the store table"],
                id="password_file",
            ),
            pytest.param(
                'store.url = "redis://h:x"',
                "",
                2,
                ["store.url", "'redis://h:x'", "is not host:port"],
                id="a bad URL",
            ),
        ],
    )
    def test_input(self, tmp_path: Path, settings: str, auth: str, code: int, parts: list[str]) -> None:
        with Program(tmp_path, settings, **({"auth": auth} if auth else {})) as program:
            self.check(program, code, parts)

    @pytest.mark.parametrize("store", [pytest.param("", id="alone"), pytest.param(REDIS, id="supervised")])
    def test_taken_admin_port(self, tmp_path: Path, store: str) -> None:
        program = Program(tmp_path, store)
        with socket.create_server(("127.0.0.1", program.admin_port)), program:
            self.check(program, 1, [f"admin.address 127.0.0.1:{program.admin_port}: Address already in use"])

    @pytest.mark.parametrize("store", [pytest.param("", id="alone"), pytest.param(REDIS, id="supervised")])
    def test_taken_worker_port(self, tmp_path: Path, store: str) -> None:
        port = free_ports(2)
        # The second worker's is free: held, as Ports does it, so that no other test gets it meanwhile.
        with socket.create_server(("127.0.0.1", port)), socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", port + 1))
            settings = f'{store}server.address = "127.0.0.1:{port}"\n'
            with Program(tmp_path, settings) as program:
                self.check(program, 1, [f"cannot listen on 127.0.0.1:{port}: Address already in use; end what"])

    @staticmethod
    def check(program: Program, code: int, parts: list[str]) -> None:
        assert program.ended() == code, program.errors
        (sentence,) = program.sentences
        assert sentence.startswith("geo-extproc: ")
        for part in parts:
            assert part in sentence
        assert "Traceback" not in program.errors
        assert not any(alive(pid) for pid in program.workers_seen)
        assert not program.run.exists() or list(program.run.iterdir()) == []
