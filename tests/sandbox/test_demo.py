"""The demo tells its whole story on real parts, and says so when something is not as expected."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rich.console import Console
from typer.testing import CliRunner

from extproc.cli import cli
from extproc.sandbox.demo import login, step, story
from extproc.sandbox.demo.record import Record
from extproc.sandbox.demo.step import Chapter, Expected, Outcome, Seen, Step, StepFailed, judge, play
from extproc.sandbox.demo.table import Story
from extproc.sandbox.welcome import welcome
from tests.sandbox.conftest import gone

ANSWER = Seen("GET /v2/", 3.21, 200, "secondary", "api-base")

KEYS = {
    *("registry_url", "primary_url", "secondary_url", "auth_url", "admin_url", "envoy_admin_url", "redis_url"),
    *("config_file", "envoy_config_file", "signing_key_file", "pids"),
}


@pytest.mark.parametrize(
    ("expected", "seen", "problems"),
    [
        pytest.param(Expected(200, "secondary", "api-base"), ANSWER, [], id="as expected"),
        pytest.param(Expected(200, "secondary", ("x", "api-base")), ANSWER, [], id="one of several"),
        pytest.param(Expected(404, "secondary", "api-base"), ANSWER, ["status is 200, expected 404"], id="status"),
        pytest.param(Expected(200, "", "api-base"), ANSWER, ["site is secondary, expected none"], id="site"),
        pytest.param(
            Expected(200, "secondary", ("x", "y")), ANSWER, ["reason is api-base, expected x or y"], id="reason"
        ),
        pytest.param(
            Expected(200),
            Seen("", 0, None, problems=("bytes differ",)),
            ["status is none, expected 200", "bytes differ"],
            id="what the act found comes last",
        ),
    ],
)
def test_judge(expected: Expected, seen: Seen, problems: list[str]) -> None:
    assert list(judge(expected, seen)) == problems


async def _good(_: None) -> Seen:
    return ANSWER


async def _failing(_: None) -> Seen:
    raise StepFailed("skopeo stopped with code 1")


async def _refused(_: None) -> Seen:
    raise aiohttp.ClientConnectionError


async def _endless(_: None) -> Seen:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_failed_step_is_told_and_the_story_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "LIMIT", 0.05)
    good = Expected(200, "secondary", "api-base")
    acts = (_failing, _refused, _endless, _good)
    chapters = (
        Chapter("one", (Step("wrong", _good, Expected(404)),)),
        Chapter("two", tuple(Step(act.__name__, act, good) for act in acts)),
    )
    begun: list[str] = []
    ended: list[Outcome] = []
    outcomes = await play(chapters, None, begin=lambda _, each: begun.append(each.title), end=ended.append)
    assert begun == ["wrong", "_failing", "_refused", "_endless", "_good"]
    assert outcomes == ended
    assert [outcome.ok for outcome in outcomes] == [False, False, False, False, True]
    problems = [outcome.problems for outcome in outcomes]
    assert problems[0] == (
        "status is 200, expected 404",
        "site is secondary, expected none",
        "reason is api-base, expected none",
    )
    assert problems[1] == ("skopeo stopped with code 1",)
    assert problems[2] == ("ClientConnectionError after 0.0 s",)
    assert problems[3][0].startswith("TimeoutError after 0.")


OUTCOMES = [
    Outcome("Log in", "a login", ANSWER, ()),
    Outcome("Log in", "a push", Seen("skopeo copy → a/b:1", 1234.5, note="5 MB"), ("status is none, expected 200",)),
]
PULLS = {"through us, warm": 100.0, "primary": 400.0}


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_shows_marks_what_was_expected_and_bars(width: int) -> None:
    out = io.StringIO()
    shown = Story(Console(file=out, width=width))
    shown.starting()
    for outcome in OUTCOMES:
        chapter: Any = Chapter(outcome.chapter, ())
        shown.begin(chapter, Step(outcome.title, _good, Expected()))  # type: ignore[arg-type]
        shown.end(outcome)
    shown.finish(OUTCOMES, PULLS, 12.3)
    lines = [line.split() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[0] == ["step", "request", "status", "site", "reason", "ms"]
    assert lines[1] == ["Log", "in"]
    assert lines[2] == ["✓", "a", "login", "GET", "/v2/", "200", "secondary", "api-base", "3"]
    assert lines[3] == ["✗", "a", "push", "skopeo", "copy", "→", "a/b:1", "1234"]
    assert lines[4:6] == [["5", "MB"], ["✗", "status", "is", "none,", "expected", "200"]]
    bars = [len(line[-2]) for line in lines[-3:-1]]
    assert bars == [12, 50]
    assert lines[-1] == ["1", "of", "2", "steps", "failed,", "12", "s"]


def test_in_a_narrow_terminal_the_request_goes_below() -> None:
    out = io.StringIO()
    shown = Story(Console(file=out, width=80, force_terminal=True, color_system=None))
    shown.end(Outcome("Log in", "a login", Seen("GET /v2/", 3, 503, "secondary", "evidence-unavailable", "slow"), ()))
    first, second = out.getvalue().splitlines()
    assert first.split() == ["✓", "a", "login", "503", "secondary", "evidence-unavailable", "3"]
    assert second == "    GET /v2/: slow"


def test_the_record_is_a_line_for_each_step_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    record = Record()
    record.starting()
    for outcome in OUTCOMES:
        record.end(outcome)
    record.finish(OUTCOMES, PULLS, 12.34)
    first, second, verdict = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first == {
        "chapter": "Log in",
        "step": "a login",
        "request": "GET /v2/",
        "status": 200,
        "site": "secondary",
        "reason": "api-base",
        "milliseconds": 3.2,
        "note": "",
        "ok": True,
        "problems": [],
    }
    assert (second["ok"], second["status"], second["problems"]) == (False, None, ["status is none, expected 200"])
    pulls = {"through us, warm": 100, "primary": 400}
    assert verdict == {"ok": False, "steps": 2, "failed": 1, "seconds": 12.3, "pull_milliseconds": pulls}


def test_the_story_without_redis_has_none_to_stop() -> None:
    titles = [chapter.title for chapter in story.chapters(redis=True)]
    assert [title for title in titles if "Redis" in title] == ["Redis stops answering"]
    assert [chapter.title for chapter in story.chapters(redis=False)] == [
        title for title in titles if "Redis" not in title
    ]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the parts put what they need: short, for sockets lie below it, and to be empty in the end."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)
        assert list(Path(name).iterdir()) == []


def started(folder: Path) -> bool:
    """Has a part of the sandbox begun?"""
    return bool(list(folder.glob("*/primary.log")))


@asynccontextmanager
async def command(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "extproc", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@pytest.mark.e2e
async def test_the_whole_story(folder: Path) -> None:
    async with command(folder, "demo", "--wan-rtt", "5", "--output", "json") as child:
        output, _ = await child.communicate()
    *steps, verdict = [json.loads(line) for line in output.splitlines()]
    failed = [line for line in steps if not line["ok"]]
    assert not failed, json.dumps(failed, indent=1)
    assert verdict["ok"] is True
    assert verdict["steps"] == len(steps) == sum(len(chapter.steps) for chapter in story.chapters(redis=True))
    assert set(verdict["pull_milliseconds"]) >= {"through us, cold", "through us, warm"}
    assert child.returncode == 0


@pytest.mark.e2e
def test_a_step_that_is_not_as_expected_makes_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = Chapter("wrong", (Step("a login", login.challenged, Expected(200)),))
    monkeypatch.setattr(story, "chapters", lambda *, redis: (wrong, login.CHAPTER))
    result = CliRunner().invoke(cli, ["demo", "--state", "memory", "--workers", "1", "--wan-rtt", "0"])
    assert result.exit_code == 1, result.output
    assert "✗ status is 401, expected 200" in result.output
    assert "1 of 4 steps failed" in result.output


@pytest.mark.e2e
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_a_signal_ends_the_demo_without_a_trace(folder: Path, number: signal.Signals, code: int) -> None:
    async with command(folder, "demo", "--output", "json") as child:
        assert child.stdout is not None
        for _ in range(3):
            await child.stdout.readline()  # and now a push is under way
        child.send_signal(number)
        await child.stdout.read()
        assert await child.wait() == code


@pytest.mark.e2e
async def test_two_sandboxes_side_by_side(folder: Path) -> None:
    async with (
        command(folder, "sandbox", "--json", "--workers", "2") as one,
        command(folder, "sandbox", "--json") as two,
    ):
        described = []
        for child in (one, two):
            assert child.stdout is not None
            described.append(json.loads(await child.stdout.readline()))
        for each in described:
            assert set(each) >= KEYS
            assert set(each["pids"]) >= {"extproc", "envoy", "redis", "primary", "secondary", "auth"}
            async with aiohttp.ClientSession() as session, session.get(f"{each['registry_url']}/v2/") as response:
                assert response.status == 401
                assert each["auth_url"] in response.headers["WWW-Authenticate"]
        assert len({each[key] for each in described for key in KEYS if key.endswith("_url")}) == 14
        for child in (one, two):
            child.terminate()
        for child in (one, two):
            assert child.stdout is not None
            assert await child.stdout.read() == b"", "one line and no more"
            assert await child.wait() == 0
    assert await gone([pid for each in described for pids in each["pids"].values() for pid in pids])


@pytest.mark.e2e
async def test_a_signal_while_the_sandbox_starts(folder: Path) -> None:
    async with command(folder, "sandbox", "--json") as child:
        for _ in range(2000):
            if started(folder):
                break
            await asyncio.sleep(0.01)
        child.terminate()
        assert child.stdout is not None
        assert await child.stdout.read() == b""
        assert await child.wait() == 0


def test_what_cannot_be_started_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from extproc.cli import main

    monkeypatch.setattr(sys, "argv", ["geo-extproc", "sandbox"])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("geo-extproc: ")


def test_the_welcome_names_what_is_there_and_commands_to_try(tmp_path: Path) -> None:
    out = io.StringIO()
    description = {name: f"http://127.0.0.1/{name}" for name in KEYS} | {
        "directory": str(tmp_path),
        "primary_wan_url": "http://127.0.0.1/primary_url",
        "redis_url": None,
    }
    welcome(description, Console(file=out, width=60, soft_wrap=True))
    text = out.getvalue()
    assert "the one URL, through Envoy   http://127.0.0.1/registry_url\n" in text
    assert "evidence" not in text
    assert "WAN" not in text
    assert "user reader, password reader pull\n" in text
    assert f"oci:{tmp_path}/sample:latest docker://127.0.0.1/registry_url/demo/app:latest\n" in text
    assert (tmp_path / "sample" / "index.json").exists()
    tried = [line.split() for line in text.partition("\nTry:\n")[2].splitlines() if "geo-extproc" in line]
    assert [(Path(words[0]).name, words[1]) for words in tried] == [
        *(("geo-extproc", "explain"), ("geo-extproc", "status"), ("geo-extproc", "status"))
    ]
    welcome(description | {"redis_url": "redis://h"}, Console(file=out, width=60, soft_wrap=True))
    assert "geo-extproc reconcile -c http://127.0.0.1/config_file\n" in out.getvalue()
