"""`reconcile`: its arguments, its results and exit codes. On real registries: tests/e2e/test_reconcile.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.build import build_store
from extproc.oci.reference import Name, Tag
from extproc.reconcile import claim
from extproc.settings import Settings
from tests.cli.running import Run, one_sentence, with_store
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def sited(tmp_path: Path, redis: RedisServer) -> Path:
    """With a store; both registries are down."""
    file = tmp_path / "sited.toml"
    file.write_text(
        f'auth.mode = "passthrough"\nstore.url = "{redis.url}"\n'
        f'sites.primary.url = "http://127.0.0.1:{free_port()}"\n'
        f'sites.secondary.url = "http://127.0.0.1:{free_port()}"\n'
    )
    return file


def in_store(config: Path, what: str) -> Any:
    """One thing done at the store, by name."""

    async def act() -> Any:
        store = build_store(Settings.load(config))
        try:
            match what:
                case "claim":
                    return await store.claim(claim.TOPIC, "somebody", 60)
                case "name":
                    return await store.decide(Name("group/app"), Tag("v1"))
                case topic:
                    return await store.noted(topic)
        finally:
            await store.close()

    return asyncio.run(act())


def test_memory_is_the_serving_process_own(run: Run, config: Path) -> None:
    one_sentence(run("reconcile", "-c", config), 2, "memory://", "reconcile.period", "Redis")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param(
            ("Group/App",), ["'Group/App' is not a repository name: write one such as group/"], id="not a name"
        ),
        pytest.param(
            ("--gitlab-path", "Group"), ["gitlab_path 'Group' is not the path", "such as group/"], id="not a path"
        ),
        pytest.param(("a", "--names", "catalog"), ["'a'", "--names"], id="names and a source"),
        pytest.param(("a", "--fresh"), ["'a'", "--fresh"], id="names and fresh"),
        pytest.param(("--names", "file"), ["names_file is not given"], id="no file"),
        pytest.param(
            ("--names-file", "/nowhere/names"), ["/nowhere/names", "name another file"], id="file not there"
        ),
        pytest.param(("--names", "gitlab"), ["gitlab_path is empty"], id="no path"),
        pytest.param(
            ("--names", "catalog", "--names-file", "f"), ["--names-file", "--names catalog"], id="another source"
        ),
        pytest.param(("--names", "file", "--gitlab-path", "g"), ["--gitlab-path", "--names file"], id="no GitLab's"),
        pytest.param(
            ("--names-file", "f", "--gitlab-path", "g"), ["--gitlab-path", "--names-file"], id="two sources"
        ),
    ],
)
def test_arguments_that_do_not_fit(run: Run, sited: Path, arguments: tuple[str, ...], parts: list[str]) -> None:
    one_sentence(run("reconcile", "-c", sited, *arguments), 2, *parts)


@pytest.mark.parametrize("command", ["serve", "reconcile"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "No such file or directory; correct the path", id="missing"),
        pytest.param("", "is not one line: write the password alone", id="empty"),
    ],
)
def test_a_password_file_that_cannot_be_used(
    run: Run, sited: Path, monkeypatch: pytest.MonkeyPatch, *, command: str, content: str | None, why: str
) -> None:
    """Said before anything starts, of the setting alone: no registry was asked."""
    monkeypatch.setattr("extproc.supervisor.supervise", lambda *_: pytest.fail("it started"))
    account = 'service_account = {username = "geo", password_file = "password"}\n'
    sited.write_text(sited.read_text() + account)
    if content is not None:
        (sited.parent / "password").write_text(content)
    ran = run(command, "-c", sited)
    one_sentence(ran, 2, "service_account.password_file", str(sited.parent / "password"), why)
    assert "asked" not in ran.err


@pytest.mark.parametrize(
    "arguments", [("--rate", "0"), ("--concurrency", "0"), ("--concurrency", "257"), ("--names", "everything")]
)
def test_options_out_of_bounds(run: Run, sited: Path, arguments: tuple[str, ...]) -> None:
    ran = run("reconcile", "-c", sited, *arguments)
    assert (ran.code, ran.out) == (2, "")


def test_names_that_cannot_be_walked(run: Run, sited: Path) -> None:
    ran = run("reconcile", "-c", sited)
    assert (ran.code, ran.out) == (1, "")
    assert "the primary registry, asked GET /v2/_catalog: it cannot be reached" in ran.err.splitlines()[-1]
    assert in_store(sited, "claim"), "it was released"


def test_names_that_cannot_be_read(run: Run, sited: Path) -> None:
    ran = run("reconcile", "-c", sited, "group/one", "group/two", "-o", "json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert (found["names"], found["errors"], found["source"]) == (2, 2, "the command line")
    assert "cannot be reached" in found["error_examples"][0]
    assert in_store(sited, "reconcile") is None


def test_names_from_a_file_beside_the_caller(
    run: Run, sited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("names").write_text("group/one\n")
    ran = run("reconcile", "-c", sited, "--names-file", "names")
    assert ran.code == 1
    assert f"names from file {tmp_path}/here/names" in ran.out
    assert "error       group/one: the secondary registry" in ran.out
    assert json.loads(in_store(sited, "reconcile"))["errors"] == 1


def test_a_site_that_is_down_ends_the_run(run: Run, sited: Path, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("".join(f"group/app{number}\n" for number in range(200)))
    ran = run("reconcile", "-c", sited, "--names-file", tmp_path / "names", "--concurrency", "4")
    assert (ran.code, ran.out) == (1, "")
    sentence = ran.err.splitlines()[-1]
    assert "the secondary registry, asked GET" in sentence
    assert "Connection refused; start it or correct the sites.secondary table; " in sentence
    assert sentence.endswith("so it went with 5 names in a row: the run ends")
    assert in_store(sited, "reconcile-run") is None, "nothing was begun"
    assert in_store(sited, "claim"), "it was released"


def test_names_of_the_store(run: Run, sited: Path) -> None:
    in_store(sited, "name")
    ran = run("reconcile", "-c", sited, "--names", "store")
    assert ran.code == 1
    assert "error       group/app: " in ran.out


def test_nothing_to_do(run: Run, sited: Path) -> None:
    ran = run("reconcile", "-c", sited, "--names", "store")
    assert ran.code == 0
    assert ran.err == "reconcile: names from store\n"
    assert ran.out.splitlines()[1].split()[:2] == ["names", "0"]


def test_another_run_is_under_way(run: Run, sited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "TTL", -1.0)  # so that nobody waits: here the other is alive
    assert in_store(sited, "claim")
    ran = run("reconcile", "-c", sited)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("geo-extproc: another reconcile is running; wait for its end")
    assert run("reconcile", "-c", sited, "group/app").code == 1, "single names may run beside it"
    assert "another" not in run("reconcile", "-c", sited, "group/app").err


def test_a_store_that_is_away(run: Run, config: Path) -> None:
    place = f"127.0.0.1:{free_port()}/0"
    with_store(config, f"redis://user:hunter2@{place}")
    ran = run("reconcile", "-c", config)
    assert (ran.code, ran.out) == (1, "")
    assert place in ran.err
    assert "hunter2" not in ran.err
