"""`status`: from Redis itself, and from the process that serves with memory://."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from extproc.build import build_store
from extproc.evidence.model import Observation
from extproc.oci.reference import Digest, Name, Tag
from extproc.settings import Settings
from tests.cli.running import Run, one_sentence, with_store
from tests.support.heads import INDEX
from tests.support.ports import free_port
from tests.support.program import Program
from tests.support.redis_server import RedisServer

DIGEST = Digest("sha256:" + "a" * 64)


async def learn(config: Path) -> None:
    store = build_store(Settings.load(config))
    name, tag = Name("a/b"), Tag("latest")
    snapshot = (await store.decide(name, tag)).snapshot
    assert await store.learn(name, snapshot, Observation(DIGEST, tag=tag, media_type=INDEX, primary_has=True))
    await store.primary_dropped(Name("a/c"))
    await store.close()


def test_from_redis(run: Run, config: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        asyncio.run(learn(with_store(config, redis.url)))
        ran = run("status", "-c", config)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"store      {redis.url} answers in ")
        site = json.loads(run("status", "-c", config, "-o", "json").out)
        cut = json.loads(run("status", "-c", config, "-o", "json", "--limit", "1").out)
        text = run("status", "-c", config, "a/b")
        name = json.loads(run("status", "-c", config, "-o", "json", "a/b").out)
        unknown = run("status", "-c", config, "a/unknown")
        unknown_json = run("status", "-c", config, "-o", "json", "a/unknown")
    assert list(site) == ["role", "store", "max_staleness", "evidence", "reconcile"]
    assert (site["evidence"]["names"], site["evidence"]["behind"], site["evidence"]["dropped_names"]) == (2, 1, 1)
    assert (cut["evidence"]["names"], cut["evidence"]["cut"]) == (1, True)
    assert (text.code, text.out.splitlines()[0]) == (0, "name      a/b")
    assert name["tags"][0]["digest"] == DIGEST
    assert (unknown.code, unknown.out, unknown.err) == (1, "nothing is held of a/unknown\n", "")
    assert (unknown_json.code, json.loads(unknown_json.out)["held"]) == (1, False)


def test_a_store_that_is_away(run: Run, config: Path) -> None:
    place = f"127.0.0.1:{free_port()}/0"
    with_store(config, f"redis://user:hunter2@{place}")
    ran = run("status", "-c", config)
    assert (ran.code, ran.err) == (1, "")
    assert f"is away: redis://{place}: " in ran.out
    assert "; start it or correct the store table" in ran.out
    assert len(ran.out.splitlines()) == ran.out.count(place) == 1
    ran_json = run("status", "-c", config, "-o", "json")
    assert (ran_json.code, json.loads(ran_json.out)["store"]["available"]) == (1, False)
    one_sentence(run("status", "-c", config, "a/b"), 1, place)
    assert "hunter2" not in ran.out + ran_json.out


def test_a_store_that_refuses_is_not_away(run: Run, config: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "hunter2") as redis:
        with_store(config, redis.url)
        ran = run("status", "-c", config)
        one = run("status", "-c", config, "a/b")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith(f"store  refused us: {redis.url}: ")
    one_sentence(one, 1, f"the store refused us: {redis.url}: ", "correct the store table's user and password")
    assert "away" not in ran.out + one.err


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("redis+sentinel://127.0.0.1:{}/geo", "unknown command", id="a server as Sentinel"),
        pytest.param("redis+cluster://127.0.0.1:{}", "cluster support disabled", id="a server as cluster"),
        pytest.param("redis://127.0.0.1:{}/99", "out of range", id="no such database"),
    ],
)
def test_another_kind_of_redis_is_not_away(run: Run, config: Path, tmp_path: Path, url: str, reason: str) -> None:
    port = free_port()
    with RedisServer(tmp_path, port=port):
        with_store(config, url.format(port))
        ran = run("status", "-c", config, "a/b")
    one_sentence(ran, 1, "the store cannot be used: ", reason, "; correct the store table")


def test_from_the_process_that_serves(run: Run, tmp_path: Path) -> None:
    with Program(tmp_path) as program:
        program.ready()
        site = json.loads(run("status", "-c", program.config, "-o", "json").out)
        assert (site["store"]["url"], site["evidence"]["names"]) == ("memory://", 0)
        assert run("status", "-c", program.config, "a/b").code == 1


def test_nobody_serves(run: Run, config: Path) -> None:
    port = free_port()
    config.write_text(config.read_text() + f'admin.address = "127.0.0.1:{port}"\n')
    one_sentence(run("status", "-c", config), 1, f"http://127.0.0.1:{port}/status", "start it")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        pytest.param(("G/app",), "'G/app' is not a repository name: write one such as group/", id="name"),
        pytest.param(("a/b:latest",), "'a/b:latest' is not", id="a reference"),
        pytest.param(("--limit", "0"), "--limit", id="limit"),
        pytest.param(("a/b", "--limit", "5"), "it is for all names", id="a limit for a name"),
        pytest.param(("-o", "xml"), "xml", id="output"),
    ],
)
def test_usage(run: Run, config: Path, arguments: tuple[str, ...], part: str) -> None:
    ran = run("status", "-c", config, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert part in ran.err
