"""The line to one server: many at once, and what becomes of them when it is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, InvalidResponse, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from extproc.evidence.connections import Local
from extproc.evidence.redis_line import Line
from tests.support.redis_server import RedisServer

PATIENCE = 5.0


def options(path: Path) -> dict[str, Any]:
    """As dial() has them: nothing is said on a new connection."""
    patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    return {"path": str(path), "protocol": 2, "driver_info": None, "retry": Retry(NoBackoff(), 0), **patience}


def line(path: Path, patience: float = PATIENCE) -> Line:
    return Line(lambda: Local(**options(path)), patience)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def server(path: Path, serve: Serve) -> AsyncIterator[None]:
    """Whatever answers in the place of Redis."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_unix_server(client, str(path))
    async with listening:
        yield


async def test_what_is_asked_in_one_turn_goes_out_at_once_and_each_gets_its_own(tmp_path: Path) -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            received.append(data)
            writer.write(b"".join(b":%d\r\n" % len(word) for word in data.split(b"GET\r\n")[1:]))

    asking = line(tmp_path / "s")
    async with server(tmp_path / "s", serve):
        await asking.answers(("GET", "first"))
        received.clear()
        sizes = await asyncio.gather(*(asking.answers(("GET", "x" * size), ("GET", "y")) for size in range(1, 40)))
        await asking.close()
    assert len(received) == 1
    assert [first for first, _ in sizes] == sorted({first for first, _ in sizes})


async def test_an_error_is_an_answer_like_others(redis_server: RedisServer) -> None:
    asking = line(redis_server.socket)
    before, wrong, after = await asking.answers(("PING",), ("NONSENSE",), ("ECHO", 7))
    assert (before, after) == (b"PONG", b"7")
    assert isinstance(wrong, ResponseError)
    assert await asking.answers(("PING",)) == [b"PONG"]
    await asking.close()


async def test_who_gives_up_leaves_the_others_theirs(redis_server: RedisServer) -> None:
    asking = line(redis_server.socket)
    await asking.answers(("PING",))
    chance = random.Random(1)
    for _ in range(50):
        tasks = [asyncio.create_task(asking.answers(("ECHO", number))) for number in range(20)]
        await asyncio.sleep(0)
        gone = set(chance.sample(tasks, 10))
        for task in gone:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for number, (task, answer) in enumerate(zip(tasks, done, strict=True)):
            assert isinstance(answer, asyncio.CancelledError) if task in gone else answer == [str(number).encode()]
    await asking.close()


async def test_who_gives_up_before_it_is_sent_sends_nothing(redis_server: RedisServer) -> None:
    asking = line(redis_server.socket)
    giving_up = asyncio.create_task(asking.answers(("SET", "given-up", 1)))
    await asyncio.sleep(0)  # it connects
    giving_up.cancel()
    assert await asking.answers(("GET", "given-up")) == [None]
    await asking.close()


async def test_a_connection_is_made_to_the_end_though_nobody_waits_any_more(tmp_path: Path) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Local):
        async def connect(self) -> None:
            entered.set()
            await go_on.wait()
            await super().connect()  # type: ignore[no-untyped-call]

    with RedisServer(tmp_path / "r") as redis:
        made: list[Slow] = []

        def connection() -> Slow:
            made.append(Slow(**options(redis.socket)))
            return made[-1]

        asking = Line(connection, PATIENCE)
        first = asyncio.create_task(asking.answers(("PING",)))
        await entered.wait()
        first.cancel()
        second = asyncio.create_task(asking.answers(("PING",)))
        await asyncio.sleep(0)
        go_on.set()
        assert await second == [b"PONG"]
        assert len(made) == 1
        await asking.close()


async def test_a_lost_connection_is_told_to_all_who_wait_and_made_anew(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await reader.read(65536)
        writer.write(b"+whole\r\n$10\r\nhalf")
        await writer.drain()

    asking = line(tmp_path / "s")
    async with server(tmp_path / "s", serve):
        outcomes = await asyncio.gather(*(asking.answers(("GET", "x")) for _ in range(3)), return_exceptions=True)
        assert outcomes[0] == [b"whole"]
        assert all(isinstance(each, RedisConnectionError) for each in outcomes[1:])
        assert await asking.answers(("GET", "x")) == [b"whole"]
        await asking.close()


async def test_nobody_there(tmp_path: Path) -> None:
    asking = line(tmp_path / "s")
    for _ in range(2):
        outcomes = await asyncio.gather(*(asking.answers(("GET", "x")) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(each, RedisConnectionError | OSError) for each in outcomes)
    with RedisServer(tmp_path / "r") as redis:
        (tmp_path / "s").symlink_to(redis.socket)
        assert await asking.answers(("PING",)) == [b"PONG"]
        await asking.close()


async def test_a_server_that_answers_nothing_is_taken_for_dead(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    asking = line(tmp_path / "s", patience=0.05)
    async with server(tmp_path / "s", serve):
        with pytest.raises(RedisTimeoutError, match=r"no answer within 0\.05 s"):
            await asking.answers(("GET", "x"))
        await asking.close()


@pytest.mark.parametrize(
    ("said", "first"),
    [
        pytest.param(b"-LOADING the data\r\n", BusyLoadingError, id="about the connection"),
        pytest.param(b"nonsense\r\n", InvalidResponse, id="no answer at all"),
        pytest.param(b"+one\r\n+to nothing\r\n", None, id="more than was asked"),
    ],
)
async def test_what_is_no_answer_ends_the_connection(
    tmp_path: Path, said: bytes, first: type[Exception] | None
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(65536)
        writer.write(said if connections == 1 else b"+good\r\n")
        await reader.read()

    asking = line(tmp_path / "s")
    async with server(tmp_path / "s", serve):
        if first is None:
            assert await asking.answers(("GET", "x")) == [b"one"]
        else:
            with pytest.raises(first):
                await asking.answers(("GET", "x"))
        assert await asking.answers(("GET", "x")) == [b"good"]
        await asking.close()
    assert connections == 2


async def test_a_line_is_renewed_and_what_was_asked_is_answered(tmp_path: Path) -> None:
    heard, answer, connections = asyncio.Event(), asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        own = connections
        while await reader.read(65536):
            heard.set()
            await answer.wait()
            writer.write(b":%d\r\n" % own)

    asking = line(tmp_path / "s")
    async with server(tmp_path / "s", serve):
        first = asyncio.create_task(asking.answers(("GET", "x")))
        await heard.wait()
        asking.renew()
        second = asyncio.create_task(asking.answers(("GET", "x")))
        await asyncio.sleep(0)
        answer.set()
        assert (await first, await second) == ([1], [2])
        asking.renew()
        asking.renew()
        assert await asking.answers(("GET", "x")) == [3]
        await asking.close()


async def test_a_closed_line_answers_nobody(redis_server: RedisServer) -> None:
    """Its server is not the master any more: a connection made now would ask it all the same."""
    asking = line(redis_server.socket)
    waiting = asyncio.create_task(asking.answers(("PING",)))
    await asyncio.sleep(0)
    await asking.close()
    for late in (waiting, asking.answers(("PING",))):
        with pytest.raises(RedisConnectionError, match="no longer used"):
            await late
    await asking.close()


async def test_a_fault_of_ours_surfaces_and_does_not_end_the_line(redis_server: RedisServer) -> None:
    """Else nobody would ever connect again: each would wait for the one before."""
    faults = [ValueError("of ours")]

    def connection() -> Local:
        if faults:
            raise faults.pop()
        return Local(**options(redis_server.socket))

    asking = Line(connection, PATIENCE)
    with pytest.raises(ValueError, match="of ours"):
        async with asyncio.timeout(PATIENCE):
            await asking.answers(("PING",))
    assert await asking.answers(("PING",)) == [b"PONG"]
    await asking.close()
