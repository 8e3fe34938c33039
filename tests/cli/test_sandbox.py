"""`sandbox` and `demo`: what they are called with; what they do is tested in tests/sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.running import Run, one_sentence


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_workers_cannot_share_memory(run: Run, command: str) -> None:
    ran = run(command, "--state", "memory", "--workers", "2")
    one_sentence(ran, 2, "--workers 2", "--state memory", "leave out --state or give --workers 1")


@pytest.mark.parametrize(
    ("arguments", "workers", "state"),
    [
        pytest.param((), 2, "redis", id="none"),
        pytest.param(("--state", "memory"), 1, "memory", id="in memory"),
        pytest.param(("--workers", "3"), 3, "redis", id="workers"),
        pytest.param(("--workers", "1", "--state", "memory"), 1, "memory", id="both"),
    ],
)
def test_the_demos_workers(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], workers: int, state: str
) -> None:
    seen: dict[str, Any] = {}

    async def run_demo(show: object, **options: Any) -> bool:
        seen.update(options)
        return True

    monkeypatch.setattr("extproc.sandbox.demo.run.run_demo", run_demo)
    assert run("demo", *arguments).code == 0
    assert (seen["workers"], seen["state"]) == (workers, state)
