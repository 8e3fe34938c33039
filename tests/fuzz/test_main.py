"""What `make fuzz` prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import __main__ as fuzz
from tests.fuzz.report import Run


@pytest.fixture(autouse=True)
def _no_fuzzer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(target: str, work: Path, *options: str, within: float) -> Run:
        assert options == ("-max_total_time=60",)
        assert within > 60
        found = target == "admin"
        return Run(target, 60, 1000, 10, work / "admin-crash-1" if found else None, "a fault" if found else "")

    monkeypatch.setattr(fuzz, "run", run)
    monkeypatch.setattr(fuzz, "_WORK", tmp_path)


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["path", "token"], 60) == 0
    assert capsys.readouterr().out.splitlines() == [
        "target  seconds  executions  new units  findings",
        "path         60       1,000         10         0",
        "token        60       1,000         10         0",
    ]


def test_a_finding_is_told_after_all_have_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["admin", "path"], 60) == 1
    printed = capsys.readouterr().out
    assert printed.index("path ") < printed.index("admin: a fault")
    assert "admin-crash-1 tests/fuzz/corpus/admin/" in printed
