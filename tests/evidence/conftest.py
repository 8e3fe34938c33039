from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.evidence.subject import KINDS, NewSubject, Subject, in_memory, in_redis, running
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that do no harm to it; each has a prefix of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Likewise."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Likewise."""
    with RedisSentinel(tmp_path_factory.mktemp("sentinel")) as sentinel:
        yield sentinel


@pytest.fixture
def prefix() -> str:
    """Begins all keys of one test, and of no other."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that the test may stop, pause, kill and reconfigure."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(params=["memory", *KINDS])
async def new(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[NewSubject]:
    """Makes stores of each kind; those of one test share what they keep in Redis."""
    where = None if request.param == "memory" else running(request, request.param)
    async with AsyncExitStack() as stack:

        def build(**options: float) -> Subject:
            subject = in_memory(**options) if where is None else in_redis(where, prefix=prefix, **options)
            stack.push_async_callback(subject.store.close)
            return subject

        yield build


@pytest.fixture
def subject(new: NewSubject) -> Subject:
    return new()
