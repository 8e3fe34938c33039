from __future__ import annotations

from pathlib import Path

import pytest

from extproc.doctor.finding import State
from extproc.doctor.store_durability import judged_persistence, judged_policy, judged_replicas
from tests.doctor.replies import PATIENT, found, settings_of, states
from tests.support.redis_sentinel import RedisSentinel
from tests.support.redis_server import PERSISTENT, RedisServer

MAY = (
    "~geo:* resetchannels -@all +ping +evalsha +eval +get +set +del +scan +time +hget +hmget +hgetall +hset +hsetnx "
    "+hdel +hexists +hincrby +hrandfield +persist +pexpire +unlink"
)
"""What docs/operations.md gives a site's user."""


@pytest.mark.parametrize(
    ("aof", "fsync", "save", "state"),
    [
        pytest.param("1", "everysec", None, State.OK, id="appendonly"),
        pytest.param("1", None, None, State.OK, id="appendonly, more is not told"),
        pytest.param("1", "no", None, State.WARNING, id="never synced"),
        pytest.param("0", None, "", State.WARNING, id="nothing"),
        pytest.param("0", None, "3600 1", State.WARNING, id="now and then"),
        pytest.param("0", None, None, State.WARNING, id="how else is not told"),
        pytest.param(None, None, None, State.UNKNOWN, id="not told"),
    ],
)
def test_persistence(aof: str | None, fsync: str | None, save: str | None, state: State) -> None:
    (finding,) = judged_persistence("redis://x", aof, fsync, save)
    assert finding.state is state


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        ("noeviction", State.OK),
        ("volatile-lru", State.OK),
        ("volatile-ttl", State.OK),
        ("allkeys-lru", State.FAULT),
        ("allkeys-random", State.FAULT),
        (None, State.UNKNOWN),
    ],
)
def test_eviction(policy: str | None, state: State) -> None:
    (finding,) = judged_policy("redis://x", policy)
    assert finding.state is state


@pytest.mark.parametrize(
    ("least", "state"), [("1", State.OK), ("2", State.OK), ("0", State.WARNING), (None, State.UNKNOWN)]
)
def test_replicas(least: str | None, state: State) -> None:
    (finding,) = judged_replicas("redis://x", least)
    assert finding.state is state


async def test_a_user_that_may_not_ask(tmp_path: Path) -> None:
    """As a managed Redis answers: no fault, and what would help."""
    with RedisServer(tmp_path / "redis") as redis:
        redis.ok("ACL", "SETUSER", "geo", "on", ">word", *MAY.split())
        (tmp_path / "password").write_text("word")
        store = {"url": redis.url, "username": "geo", "password_file": "password", **PATIENT}
        settings = settings_of(tmp_path, store=store)
        durability = await found("store-durability", settings)
        assert states(durability) == [("persistence", "unknown"), ("eviction", "unknown")]
        assert all("+info" in finding.remedy for finding in durability)
        assert states(await found("store", settings)) == [("latency", "ok"), ("version", "unknown")]
        redis.ok("ACL", "SETUSER", "geo", "+config|get")
        assert states(await found("store-durability", settings)) == [("persistence", "warning"), ("eviction", "ok")]


async def test_one_that_keeps_all(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", *PERSISTENT) as redis:
        settings = settings_of(tmp_path, store={"url": redis.url})
        assert states(await found("store-durability", settings)) == [("persistence", "ok"), ("eviction", "ok")]


async def test_a_master_that_sentinels_watch(tmp_path: Path) -> None:
    with RedisSentinel(tmp_path / "redis") as watched:
        settings = settings_of(tmp_path, store={"url": watched.url, **PATIENT})
        findings = await found("store-durability", settings)
        assert states(findings)[2:] == [("replicas", "warning")]
        watched.master().ok("CONFIG", "SET", "min-replicas-to-write", "1")
        assert states(await found("store-durability", settings))[2:] == [("replicas", "ok")]
        assert states(await found("store", settings)) == [("latency", "ok"), ("version", "ok")]
