"""Two workers on a real redis-server, and what happens when one of them, or their parent, is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from aiohttp import web

from extproc.parts import open_parts
from extproc.supervisor import Supervisor
from extproc.transport.service import METHOD
from tests.auth.issuer import claims, jwk, public_pem, token, verification_key
from tests.registry.server import Server
from tests.support.heads import EVERY_TYPE, INDEX
from tests.support.loaded import loaded
from tests.support.messages import PRIMARY, Reply, request_head, response_head
from tests.support.program import Program, alive, eventually
from tests.support.redis_server import RedisServer

DIGEST = "sha256:" + "a" * 64
HEAD = request_head("GET", "/v2/g/app/manifests/latest", ("accept", EVERY_TYPE[0]))
ANSWER = response_head(200, ("docker-content-digest", DIGEST), ("content-type", INDEX), site=PRIMARY)


@pytest.fixture
def redis(tmp_path: Path) -> RedisServer:
    """Not started."""
    folder = tmp_path / "redis"
    folder.mkdir()
    return RedisServer(folder)


@pytest.fixture
def program(tmp_path: Path, redis: RedisServer) -> Iterator[Program]:
    """Not started; stopped in the end."""
    # The budget is for requests under load; here two processors are shared with other tests.
    settings = (
        f'store = {{url = "{redis.url}", budget = 1.0, breaker_pause = 0.1}}\n'
        "envoy.message_timeout = 3\nserver.workers = 2\n"
    )
    try:
        yield (program := Program(tmp_path, settings))
    finally:
        program.__exit__(None, None, None)
        redis.kill()


def _with_a_token(kind: str = "rsa") -> bytes:
    now = time.time()
    access = [{"type": "repository", "name": "g/app", "actions": ["pull"]}]
    kid = next(iter(verification_key(kind).ids()))
    shown = token(claims(iat=now, nbf=now, exp=now + 300, access=access), kid=kid, kind=kind)
    return request_head(
        "GET", "/v2/g/app/manifests/latest", ("accept", EVERY_TYPE[0]), ("authorization", f"Bearer {shown}")
    )


async def exchange(program: Program, worker: int, answer: bytes = b"", head: bytes = HEAD) -> str:
    """A read of the tag through one worker; its reason."""
    async with grpc.aio.insecure_channel(f"unix:{program.run}/worker-{worker}.sock") as channel:
        call: Any = channel.stream_stream(METHOD)()
        await call.write(head)
        reply = Reply.of(await asyncio.wait_for(call.read(), 10))
        if answer and reply.observes:
            await call.write(answer)
            assert await asyncio.wait_for(call.read(), 10)
        await call.done_writing()
        await call.code()
    return reply.set_headers["x-geo-reason"]


async def push(program: Program, worker: int) -> str:
    """A write of the tag through one worker, which the primary takes; its reason."""
    async with grpc.aio.insecure_channel(f"unix:{program.run}/worker-{worker}.sock") as channel:
        call: Any = channel.stream_stream(METHOD)()
        await call.write(request_head("PUT", "/v2/g/app/manifests/latest"))
        reply = Reply.of(await asyncio.wait_for(call.read(), 10))
        await call.write(response_head(201, site=PRIMARY))
        assert await asyncio.wait_for(call.read(), 10)
        await call.done_writing()
        await call.code()
    return reply.set_headers["x-geo-reason"]


async def until(program: Program, worker: int, reason: str, answer: bytes = b"", head: bytes = HEAD) -> None:
    """Read until the reason is given."""
    async with asyncio.timeout(20):
        while await exchange(program, worker, answer, head) != reason:  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.01)


async def started(program: Program, redis: RedisServer) -> None:
    await asyncio.to_thread(redis.start)
    program.start()
    await asyncio.to_thread(program.ready, workers=2)


async def test_what_one_worker_learns_the_other_uses(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    await until(program, 0, "tag-verified", ANSWER)
    await until(program, 1, "tag-verified")


async def test_what_a_worker_kept_in_an_outage_is_told_before_another_believes_the_store(
    program: Program, redis: RedisServer
) -> None:
    """P3: the lease outlives the outage on Redis's disk, and only worker 0 knows that its tag was written since."""
    redis.options = ("--appendonly", "yes", "--appendfsync", "always")
    await started(program, redis)
    await until(program, 1, "tag-verified", ANSWER)
    redis.kill()
    assert await push(program, 0) == "write"
    assert await exchange(program, 1) == "evidence-unavailable"
    starting = asyncio.create_task(asyncio.to_thread(redis.start))
    async with asyncio.timeout(20):
        while (reason := await exchange(program, 1)) == "evidence-unavailable":
            pass
    await starting
    assert reason == "tag-unverified"


async def test_a_killed_worker_is_started_again_and_leases_are_void(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    await until(program, 1, "tag-verified", ANSWER)
    before = program.workers()
    # Worker 0 is the older one.
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    await until(program, 1, "tag-unverified")
    await asyncio.to_thread(eventually, lambda: len(program.workers()) == 2, "two workers")
    await asyncio.to_thread(program.ready, workers=2)
    assert killed not in program.workers()
    (line,) = program.logged("worker ended")
    assert (line["exit_code"], line["worker"]) == (-9, 0)
    await until(program, 0, "tag-verified", ANSWER)


async def test_a_worker_that_ends_cleanly_is_started_again_too(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    ended = min(program.workers())
    os.kill(ended, signal.SIGTERM)
    await asyncio.to_thread(eventually, lambda: program.logged("worker ended"), "it is noticed")
    await asyncio.to_thread(program.ready, workers=2)
    (line,) = program.logged("worker ended")
    assert line["exit_code"] == 0


async def test_sigterm_drains_and_leaves_nothing(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    workers = program.workers()
    async with grpc.aio.insecure_channel(f"unix:{program.run}/worker-1.sock") as channel:
        running: Any = channel.stream_stream(METHOD)()
        await running.write(HEAD)
        assert await asyncio.wait_for(running.read(), 10)
        program.send(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: len(program.logged("draining")) == 2, "both drain")
        assert program.readyz()[0] == 503
        await running.done_writing()
        assert await running.code() is grpc.StatusCode.OK
    assert await asyncio.to_thread(program.ended) == 0
    assert not any(alive(pid) for pid in workers)
    assert list(program.run.iterdir()) == []
    assert program.sentences == []
    assert program.readyz()[0] == 0


async def test_no_other_signal_cuts_a_drain_short(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    async with grpc.aio.insecure_channel(f"unix:{program.run}/worker-1.sock") as channel:
        running: Any = channel.stream_stream(METHOD)()
        await running.write(HEAD)
        assert await asyncio.wait_for(running.read(), 10)
        program.send(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: len(program.logged("draining")) == 2, "both drain")
        for number in (signal.SIGHUP, signal.SIGUSR2):
            for pid in (program.pid, *program.workers()):
                os.kill(pid, number)
        await running.done_writing()
        assert await running.code() is grpc.StatusCode.OK
    assert await asyncio.to_thread(program.ended) == 0


async def test_workers_do_not_outlive_their_supervisor(program: Program, redis: RedisServer) -> None:
    await started(program, redis)
    workers = program.workers()
    program.send(signal.SIGKILL)
    assert await asyncio.to_thread(program.ended) == -signal.SIGKILL
    await asyncio.to_thread(eventually, lambda: not any(alive(pid) for pid in workers), "workers end")
    assert list(program.run.iterdir()) == []
    # And the next one can have their place.
    program.start()
    await asyncio.to_thread(program.ready, workers=2)


async def test_without_redis_it_starts_degraded_and_recovers_by_itself(program: Program, redis: RedisServer) -> None:
    program.start()
    await asyncio.to_thread(program.ready, workers=2, store="degraded")
    # One for each process: the supervisor's at least, the workers' when they have looked as often.
    line, *others = program.logged("store unavailable")
    assert len(others) <= 2
    assert line["store"] == redis.url
    assert "start it or correct the store table" in line["event"]
    assert await exchange(program, 0) == "evidence-unavailable"
    await asyncio.to_thread(redis.start)
    await asyncio.to_thread(program.ready, workers=2)
    assert len(program.logged("store available again")) >= 1
    for worker in (0, 1):
        await until(program, worker, "tag-unverified")
    assert program.sentences == []


class TestLive:
    async def test_every_worker_adopts_a_changed_file(self, program: Program, redis: RedisServer) -> None:
        await started(program, redis)
        await until(program, 0, "tag-verified", ANSWER)
        program.rewrite(lambda text: text + 'rollout.mode = "primary-only"\n')
        for worker in (0, 1):
            await until(program, worker, "mode-primary-only")
        (line,) = program.logged("configuration read")
        assert (line["changed"], line["restart_needed"]) == (["rollout.mode"], [])
        await asyncio.to_thread(program.ready, workers=2, mode="primary-only")

    async def test_a_broken_file_changes_nothing_and_everybody_can_see_why(
        self, program: Program, redis: RedisServer
    ) -> None:
        await started(program, redis)
        program.rewrite(lambda text: text + 'rollout.mode = "primary-only"\nserver.colour = 1\n')
        await asyncio.to_thread(
            eventually, lambda: program.readyz()[1]["configuration"].startswith("broken"), "it is seen"
        )
        assert program.readyz()[0] == 200
        assert "server.colour" in program.readyz()[1]["configuration"]
        for worker in (0, 1):
            await until(program, worker, "tag-verified", ANSWER)

    async def test_a_worker_started_anew_has_its_supervisors_settings(
        self, program: Program, redis: RedisServer, tmp_path: Path
    ) -> None:
        """P3: a worker on another store than its supervisor would miss what the supervisor is told."""
        await started(program, redis)
        other = tmp_path / "other"
        other.mkdir()
        with RedisServer(other) as strange:
            program.rewrite(lambda text: text.replace(redis.url, strange.url))
            await asyncio.to_thread(program.ready, workers=2, configuration="restart needed: store.url")
            os.kill(min(program.workers()), signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: program.logged("worker ended"), "it is noticed")
            await asyncio.to_thread(program.ready, workers=2, configuration="restart needed: store.url")
            await until(program, 0, "tag-verified", ANSWER)
            await until(program, 1, "tag-verified")
            assert strange.command("DBSIZE") == b":0\r\n"

    async def test_a_worker_started_anew_has_what_was_adopted(self, program: Program, redis: RedisServer) -> None:
        await started(program, redis)
        program.rewrite(lambda text: text + 'rollout.mode = "primary-only"\n')
        await until(program, 0, "mode-primary-only")
        os.kill(min(program.workers()), signal.SIGKILL)
        await asyncio.to_thread(eventually, lambda: program.logged("worker ended"), "it is noticed")
        await asyncio.to_thread(program.ready, workers=2, mode="primary-only")
        assert await exchange(program, 0) == "mode-primary-only"

    async def test_a_worker_started_anew_has_the_keys_in_force_not_a_broken_file(
        self, tmp_path: Path, redis: RedisServer
    ) -> None:
        key = tmp_path / "key.pem"
        key.write_bytes(public_pem("rsa"))
        auth = 'auth.realm = "https://issuer/"\nauth.keys = ["key.pem"]\n'
        settings = f'store = {{url = "{redis.url}", budget = 1.0}}\nenvoy.message_timeout = 3\nserver.workers = 2\n'
        try:
            await asyncio.to_thread(redis.start)
            with Program(tmp_path, settings, auth=auth) as program:
                await asyncio.to_thread(program.ready, workers=2)
                key.write_text("<html>")
                await asyncio.to_thread(
                    eventually, lambda: program.readyz()[1]["configuration"].startswith("broken"), "it is seen"
                )
                killed = min(program.workers())
                os.kill(killed, signal.SIGKILL)
                await asyncio.to_thread(eventually, lambda: program.logged("worker ended"), "it is noticed")
                await asyncio.to_thread(eventually, lambda: program.readyz()[1]["workers"] == 2, "both serve")
                program.workers_seen |= program.workers()
                assert len(program.logged("worker ended")) == 1
                assert await exchange(program, 0, head=_with_a_token()) == "tag-unverified"
        finally:
            redis.kill()

    async def test_the_issuer_is_asked_once_for_all_workers_and_need_not_be_there_for_a_new_one(
        self, tmp_path: Path, redis: RedisServer
    ) -> None:
        keys = [jwk("rsa")]

        async def answer(request: web.BaseRequest) -> web.Response:
            return web.json_response({"keys": keys}) if keys else web.Response(status=503)

        settings = f'store = {{url = "{redis.url}", budget = 1.0}}\nenvoy.message_timeout = 3\nserver.workers = 2\n'
        try:
            await asyncio.to_thread(redis.start)
            async with Server(answer) as issuer:
                auth = (
                    'auth.realm = "https://issuer/"\nauth.keys_min_interval = 0.1\n'
                    f'auth.keys_url = "{issuer.url}/keys"\n'
                )
                with Program(tmp_path, settings, auth=auth) as program:
                    await asyncio.to_thread(program.ready, workers=2)
                    assert issuer.paths == ["/keys"]
                    for worker in (0, 1):
                        assert await exchange(program, worker, head=_with_a_token()) == "tag-unverified"
                    # It is rotated: one worker meets the new key, and all get it.
                    keys[:] = [jwk("other")]
                    for worker in (0, 1):
                        await until(program, worker, "tag-unverified", head=_with_a_token("other"))
                    keys.clear()
                    for killed in program.workers():
                        os.kill(killed, signal.SIGKILL)
                    await asyncio.to_thread(eventually, lambda: len(program.logged("worker ended")) == 2, "noticed")
                    await asyncio.to_thread(eventually, lambda: program.readyz()[1]["workers"] == 2, "both serve")
                    program.workers_seen |= program.workers()
                    assert await exchange(program, 0, head=_with_a_token("other")) == "tag-unverified"
        finally:
            redis.kill()

    async def test_a_worker_that_reads_no_more_is_killed(self, tmp_path: Path, redis: RedisServer) -> None:
        """Its orders would pile up, and it would decide by old ones when it goes on."""
        settings = f'store = {{url = "{redis.url}", budget = 1.0}}\nenvoy.message_timeout = 3\nserver.workers = 2\n'
        names = ",".join(f'"g/{"x" * 200}-{number}"' for number in range(3_000))
        try:
            await asyncio.to_thread(redis.start)
            with Program(tmp_path, settings + "rollout.include = []\n") as program:
                await asyncio.to_thread(program.ready, workers=2)
                stopped = min(program.workers())
                os.kill(stopped, signal.SIGSTOP)
                for change in range(20):
                    included = f'rollout.include = [{names}, "g/{change}"]'
                    program.rewrite(partial(re.sub, r"(?m)^rollout.include.*$", included))
                    program.send(signal.SIGHUP)
                    await asyncio.to_thread(eventually, partial(_read, program, change + 1), "it is read")
                    if not alive(stopped):
                        break
                await asyncio.to_thread(
                    eventually, lambda: program.logged("worker does not read its orders"), "it is noticed"
                )
                ended = "worker ended; starting it again"
                await asyncio.to_thread(eventually, lambda: program.logged(ended), "it has ended")
                await asyncio.to_thread(eventually, lambda: program.readyz()[1]["workers"] == 2, "both serve")
                program.workers_seen |= program.workers()
                assert not alive(stopped)
                assert await exchange(program, 0) == "name-excluded"
        finally:
            redis.kill()


class TestRestart:
    async def test_one_after_another(self, program: Program, redis: RedisServer) -> None:
        await started(program, redis)
        before = program.workers()
        program.send(signal.SIGUSR2)
        fewest = 2
        async with asyncio.timeout(30):
            while not program.logged("all workers have been restarted"):
                status, told = await asyncio.to_thread(program.readyz)
                assert status == 200
                fewest = min(fewest, told["workers"])
        assert fewest == 1
        assert not before & program.workers()
        assert len(program.workers()) == 2
        assert not program.logged("worker ended")
        for worker in (0, 1):
            await until(program, worker, "tag-verified", ANSWER)
        program.workers_seen |= program.workers()

    async def test_a_worker_that_has_just_ended_by_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its keeper has not heard of it yet; who restarts the others must live on."""
        monkeypatch.setattr("extproc.supervisor._SEEN_BY_ENVOY", 0)
        settings = loaded(tmp_path)
        async with open_parts(settings) as parts, parts.opening_keys(lambda known: None) as keys:
            subject = Supervisor(tmp_path / "geo.toml", parts, keys, None)

            class Ended:
                def send_signal(self, number: int) -> None:
                    subject._serving.discard(0)
                    raise ProcessLookupError

            subject._processes[0] = cast("asyncio.subprocess.Process", Ended())
            await subject._set_serving(0, True)
            restarting = asyncio.create_task(subject._restart(0))
            await asyncio.sleep(0)
            await subject._set_serving(0, True)  # its successor
            await asyncio.wait_for(restarting, 10)

    async def test_it_waits_while_another_is_down(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else none would serve."""
        monkeypatch.setattr("extproc.supervisor._SEEN_BY_ENVOY", 0)
        settings = loaded(tmp_path)
        settings = settings.model_copy(update={"server": settings.server.model_copy(update={"workers": 2})})
        async with open_parts(settings) as parts, parts.opening_keys(lambda known: None) as keys:
            subject = Supervisor(tmp_path / "geo.toml", parts, keys, None)
            told = asyncio.Event()

            class Serving:
                def send_signal(self, number: int) -> None:
                    subject._serving.discard(0)
                    told.set()

            subject._processes[0] = cast("asyncio.subprocess.Process", Serving())
            await subject._set_serving(0, True)
            restarting = asyncio.create_task(subject._restart(0))
            await asyncio.sleep(0)
            assert not told.is_set()
            await subject._set_serving(1, True)
            await asyncio.wait_for(told.wait(), 10)
            await subject._set_serving(0, True)  # its successor
            await asyncio.wait_for(restarting, 10)


def _read(program: Program, times: int) -> bool:
    return len(program.logged("configuration read")) >= times
