from __future__ import annotations

from pathlib import Path

import pytest

from extproc.doctor.finding import State
from extproc.doctor.redis_servers import OWN_NAME
from extproc.doctor.store import judged_latency, judged_version
from tests.doctor.replies import PATIENT, found, settings_of, states
from tests.support.ports import free_port
from tests.support.redis_cluster import NODES, RedisCluster
from tests.support.redis_server import RedisServer


@pytest.mark.parametrize(
    ("median", "state"),
    [
        pytest.param(0.024, State.OK, id="fast"),
        pytest.param(0.026, State.WARNING, id="near"),
        pytest.param(0.051, State.FAULT, id="over"),
    ],
)
def test_latency(median: float, state: State) -> None:
    found = judged_latency(median, 0.05, "redis://x")
    assert found.state is state
    assert "a request waits 50 ms" in found.text


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("6.2.0", State.OK),
        ("7.0.15", State.OK),
        ("10.1", State.OK),
        ("6.0.16", State.FAULT),
        ("5.0.7", State.FAULT),
        (None, State.UNKNOWN),
        ("next", State.UNKNOWN),
    ],
)
def test_version(version: str | None, state: State) -> None:
    assert judged_version("redis://x", version).state is state


async def test_in_memory(tmp_path: Path) -> None:
    (finding,) = await found("store", settings_of(tmp_path))
    assert finding.state is State.OK
    assert "memory://" in finding.text
    assert states(await found("store-durability", settings_of(tmp_path))) == [("persistence", "ok")]


async def test_a_server_and_what_is_left_in_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        settings = settings_of(tmp_path, store={"url": redis.url, **PATIENT})
        findings = await found("store", settings)
        assert states(findings) == [("latency", "ok"), ("version", "ok")]
        reply = redis.command("PTTL", f"geo:{{{OWN_NAME}}}")
        assert 0 < int(reply[1:]) <= 10_000
        assert redis.command("KEYS", "*").count(b"geo:") == 2, "the name and the site's generation, nothing else"


async def test_nobody_there_and_a_wrong_password(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_of(tmp_path, store={"url": f"redis://u:hunter2@127.0.0.1:{port}"})
    findings = await found("store", settings)
    assert states(findings) == [("answer", "fault")]
    assert findings[0].remedy == "start it or correct the store table"
    assert states(await found("store-durability", settings)) == [("persistence", "unknown")]
    with RedisServer(tmp_path / "redis", "--requirepass", "right", port=port):
        refused = await found("store", settings)
    assert states(refused) == [("answer", "fault")]
    assert "refused us" in refused[0].text
    assert "hunter2" not in str(findings + refused)


async def test_a_cluster_is_asked_one_master_after_the_other(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "cluster") as cluster:
        settings = settings_of(tmp_path, store={"url": cluster.url, **PATIENT})
        findings = await found("store", settings)
        durability = await found("store-durability", settings)
        clocks = await found("clock", settings)
    masters = NODES // 2
    assert states(findings) == [("latency", "ok"), *[("version", "ok")] * masters]
    assert states(durability) == [("persistence", "warning"), ("eviction", "ok")] * masters
    assert len({finding.text for finding in durability}) == 2 * masters, "each names its server"
    assert states(clocks)[2:] == [("store", "ok")] * masters
