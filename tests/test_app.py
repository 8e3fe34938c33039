"""The parts as they are built from the settings, and `serve` with memory:// as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc import settings
from extproc.app import stop_requested, worker_address
from extproc.auth.grant import Grant
from extproc.build import build_policy, build_store, build_verifier
from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import Invalidation
from extproc.evidence.redis import RedisStore
from extproc.evidence.store import StoreUnavailable
from extproc.oci.reference import Name
from extproc.parts import open_parts
from extproc.routing.policy import Policy
from extproc.settings import Settings
from extproc.transport.grpcio import METHOD
from tests.auth import issuer
from tests.support.heads import EVERY_TYPE
from tests.support.messages import Reply, request_head
from tests.support.ports import free_port
from tests.support.program import SITES, Program, alive, eventually

HEAD = request_head("GET", "/v2/g/app/manifests/latest", ("accept", EVERY_TYPE[0]))


def loaded(folder: Path, text: str = "") -> Settings:
    file = folder / "geo.toml"
    file.write_text(text if "auth" in text else 'auth.mode = "passthrough"\n' + text)
    with file.open("a") as stream:
        stream.write("\n" + SITES)
    return Settings.load(file)


class TestBuild:
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
    def test_worker_address(self, tmp_path: Path, text: str, number: int, address: str) -> None:
        assert worker_address(loaded(tmp_path, text), number) == address

    def test_policy_takes_every_setting(self, tmp_path: Path) -> None:
        text = (
            'policy = {max_staleness = 1, unknown_digests = "primary", present_recheck = 2, write_timeout = 3, '
            "absent_ttl = 4}"
        )
        policy = build_policy(loaded(tmp_path, text))
        assert policy == Policy(max_staleness=1, unknown_digests_local=False, present_recheck=2, write_timeout=3)
        assert all(getattr(policy, field.name) != field.default for field in fields(Policy))

    def test_policy_defaults_agree(self) -> None:
        assert Policy() == Policy(
            max_staleness=settings.Policy().max_staleness,
            present_recheck=settings.Policy().present_recheck,
            write_timeout=settings.Policy().write_timeout,
        )

    async def test_stores(self, tmp_path: Path) -> None:
        memory = build_store(loaded(tmp_path, "store.name_ttl = 5"))
        assert isinstance(memory, MemoryStore)
        assert memory._name_ttl == 5_000_000
        redis = build_store(loaded(tmp_path, 'store.url = "redis://127.0.0.1:1"'))
        assert isinstance(redis, RedisStore)
        await redis.close()

    def test_verifier(self, tmp_path: Path) -> None:
        assert build_verifier(loaded(tmp_path)) is None
        issuer.written(tmp_path / "k.pem", issuer.public_pem("rsa"))
        text = 'auth = {realm = "https://i/", keys = ["k.pem"], issuer = "me", service = "it", leeway = 1}'
        verifier = build_verifier(loaded(tmp_path, text))
        assert verifier is not None
        kid = issuer.verification_key("rsa").ids()[0]
        token = issuer.token(issuer.claims(iss="me", aud="it"), kid=kid)
        assert isinstance(verifier.verify((f"Bearer {token}",), issuer.NOW), Grant)
        assert not isinstance(verifier.verify((f"Bearer {token}",), issuer.NOW + 302), Grant)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_stop_requested(self, number: signal.Signals) -> None:
        stop = stop_requested()
        try:
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), 10)
        finally:
            for each in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(each)


class TestParts:
    async def test_leases_from_before_are_void_first(self, tmp_path: Path) -> None:
        async with open_parts(loaded(tmp_path)) as parts:
            assert parts.backlog.blocks(Name("a/b"))
            while parts.backlog.pending:  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0)
            assert not parts.backlog.blocks(Name("a/b"))
            assert parts.store_word() == "ok"

    async def test_stopping_gives_the_store_what_it_has_not_taken(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The loop that retries is held up here, so that only the stop can have done it."""
        async with open_parts(loaded(tmp_path)) as parts:
            backlog = parts.backlog
            while backlog.pending:  # noqa: ASYNC110 - a state, not an event
                await asyncio.sleep(0)
            tried: list[str] = []

            async def taken_the_second_time() -> None:
                tried.append("void")
                if len(tried) == 1:
                    raise StoreUnavailable("busy")

            backlog._store.void_leases = taken_the_second_time  # type: ignore[method-assign]
            await backlog.void_leases()
            before = backlog.pending
        assert (before, backlog.pending, tried) == (1, 0, ["void", "void"])
        assert "never took" not in capsys.readouterr().err

    async def test_what_is_lost_with_us_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("extproc.parts._LAST_TRIES", 0.01)
        async with open_parts(loaded(tmp_path, f'store.url = "redis://127.0.0.1:{free_port()}"')) as parts:
            await parts.backlog.begin_write(Name("a/b"), "m", Invalidation(), 1.0)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        (line,) = [line for line in lines if line["event"].startswith("stopped with invalidations")]
        # The void of the start, and the write.
        assert (line["level"], line["count"]) == ("error", 2)
        assert "start this one again" in line["event"]

    async def test_a_start_that_failed_has_nothing_to_lose(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            async with open_parts(loaded(tmp_path, f'store.url = "redis://127.0.0.1:{free_port()}"')):
                raise ZeroDivisionError
        assert "never took" not in capsys.readouterr().err

    async def test_an_unseen_write_outlives_the_longest_write(self, tmp_path: Path) -> None:
        async with open_parts(loaded(tmp_path, "policy.write_timeout = 7")) as parts:
            seen: list[float] = []

            async def begin_write(name: Name, mark: str, what: Invalidation, ttl: float) -> bool:
                seen.append(ttl)
                return True

            parts.backlog.begin_write = begin_write  # type: ignore[method-assign]
            await parts.unseen_writes().take("PUT", "/v2/a/b/manifests/latest")
            assert seen == [12.0]

    async def test_a_store_that_is_away_is_degraded_and_logged_once(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("extproc.parts._LAST_TRIES", 0.01)
        text = f'store.url = "redis://user:hunter2@127.0.0.1:{free_port()}/0"\nstore.breaker_failures = 2'
        async with open_parts(loaded(tmp_path, text)) as parts:
            watching = asyncio.create_task(parts.watch_store())
            async with asyncio.timeout(10):
                while parts.store_word() == "ok":  # noqa: ASYNC110 - a state, not an event
                    await asyncio.sleep(0.01)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            assert parts.backlog.blocks(Name("a/b"))
        out, err = capsys.readouterr()
        assert out == ""
        line, last = err.splitlines()
        assert "stopped with invalidations" in last
        assert "hunter2" not in last
        assert "store unavailable" in line
        assert f"redis://127.0.0.1:{parts.settings.store.url.rpartition(':')[2]}" in line
        assert "correct the store table" in line
        assert "hunter2" not in line
        assert "user" not in line


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
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
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
