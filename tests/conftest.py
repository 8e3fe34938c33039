"""For every test: nothing process-wide outlives it. For those that need one: a Redis of each kind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.redis_cluster import RedisCluster
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _log_of_the_test_alone() -> Iterator[None]:
    """What a test configures writes to standard error as pytest had it then, which is closed afterwards."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests that do no harm to it; each has a prefix of its own. No busy machine replaces a master."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Likewise."""
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.hold()
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Likewise."""
    with RedisSentinel(tmp_path_factory.mktemp("sentinel")) as sentinel:
        sentinel.hold()
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
