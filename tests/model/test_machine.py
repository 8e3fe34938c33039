"""The model check (docs/model-check.md): promises P3 to P6 hold after every step of every story found.

`make test` runs few examples, `make test-deep` 2,000 of 50 steps.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machines import Sites, TimedSites, on_redis
from tests.model.redis_depot import RedisDepot
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_group import RedisGroup
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import PERSISTENT, RedisServer

EXAMPLES = int(os.environ.get("GEO_TEST_MODEL_EXAMPLES", "150"))
REDIS_EXAMPLES = int(os.environ.get("GEO_TEST_MODEL_REDIS_EXAMPLES", "8"))
SEED = int(os.environ.get("GEO_TEST_MODEL_SEED", "0"))
SHRINK = os.environ.get("GEO_TEST_MODEL_SHRINK", "1") == "1"


def run(machine: type[Sites], examples: int) -> None:
    wanted = settings(
        max_examples=examples,
        stateful_step_count=50,
        phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
        report_multiple_bugs=False,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(machine), settings=wanted)


@pytest.mark.timeout(7200)
def test_memory() -> None:
    run(TimedSites, EXAMPLES)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", [RedisServer, RedisCluster, RedisSentinel])
def test_redis(tmp_path: Path, kind: type[RedisServer | RedisCluster | RedisSentinel]) -> None:
    """No master is replaced: a failover that loses the last moments is among the mishaps in memory."""
    with kind(tmp_path / "redis", *PERSISTENT) as redis, RedisDepot(redis) as depot:
        if isinstance(redis, RedisGroup):
            redis.hold()
        run(on_redis(depot), REDIS_EXAMPLES)
