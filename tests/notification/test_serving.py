"""`serve` takes notifications, alone and with workers, or says at its start why it cannot."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notification.envelopes import D1, V1, envelope, event
from tests.support.program import Program, eventually
from tests.support.redis_server import RedisServer

SECRET = "s3cret"


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The settings of one process, or of a supervisor with two."""
    if request.param == "memory":
        yield ""
        return
    with RedisServer(tmp_path / "redis") as redis:
        yield f'store.url = "{redis.url}"\nserver.workers = 2\n'


def post(program: Program, site: str, secret: str = SECRET) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{program.admin_port}/notifications/{site}",
        data=envelope(event("delete", digest=D1)),
        headers={"Authorization": f"Bearer {secret}", "Content-Type": V1},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
            return error.code, json.loads(text) if text else None


def test_with_the_secret_and_without(tmp_path: Path, store: str) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\nnext\n")
    with Program(tmp_path, f'{store}notifications.secret_file = "secret"') as program:
        eventually(lambda: program.readyz()[0] == 200, "it serves")
        assert post(program, "primary") == post(program, "secondary", "next") == (200, {"taken": 1})
        assert post(program, "primary", "other") == (401, None)
        assert [line["status"] for line in program.logged("notification refused")] == [401]
        assert SECRET not in program.errors


def test_without_the_setting(tmp_path: Path, store: str) -> None:
    with Program(tmp_path, store) as program:
        eventually(lambda: program.readyz()[0] == 200, "it serves")
        status, answer = post(program, "primary")
        assert status == 403
        assert "set notifications.secret_file" in answer["error"]


@pytest.mark.parametrize("content", [pytest.param(None, id="missing"), pytest.param("\n", id="empty")])
def test_a_secret_that_cannot_be_used_ends_the_start(tmp_path: Path, store: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    with Program(tmp_path, f'{store}notifications.secret_file = "secret"') as program:
        assert program.ended() == 2
        (sentence,) = program.sentences
        assert "notifications.secret_file" in sentence
        assert str(tmp_path / "secret") in sentence
        assert program.logged("serving") == []
