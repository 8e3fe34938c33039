"""For every test: nothing process-wide outlives it, no log of its processes has a token in it. For those that need
one: a Redis of each kind."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from extproc.sandbox.workspace import Workspace
from extproc.telemetry.standard_log import StandardLog
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import RedisServer
from tests.support.tokens_in_logs import FOUND, look

# How long an example takes is the machine's business: files run side by side, and keys are made while examples are.
hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("shared")


@pytest.fixture(autouse=True)
def _log_of_the_test_alone() -> Iterator[None]:
    """What a test configures writes to standard error as pytest had it then, which is closed afterwards."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, StandardLog)]:
        root.removeHandler(handler)


@pytest.fixture(autouse=True, scope="session")
def _logs_are_looked_at() -> Iterator[None]:
    """Those of the processor and of Envoy, before a sandbox removes them. (A registry's log is the registry's.)"""
    close = Workspace.close

    async def look_and_close(workspace: Workspace) -> None:
        look([*map(workspace.log, ("extproc", "envoy")), workspace.directory / "access.log"])
        await close(workspace)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "close", look_and_close)
        yield


@pytest.fixture(autouse=True)
def _no_token_in_a_log() -> Iterator[None]:
    yield
    found = FOUND.copy()
    FOUND.clear()
    assert found == []


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
