"""From libFuzzer's lines to the table."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.report import Run, advice, read_run, table

STATS = """#2000	DONE   cov: 161 ft: 203 corp: 58/3612b lim: 203 exec/s: 0 rss: 46Mb
stat::number_of_executed_units: 2000
stat::average_exec_per_sec:     0
stat::new_units_added:          42
"""
FOUND = """
 === Uncaught Python exception: ===
AssertionError: a write that nobody saw
Traceback (most recent call last):
  File "admin.py", line 206, in check

==22759== ERROR: libFuzzer: fuzz target exited
artifact_prefix='build/fuzz/admin-'; Test unit written to build/fuzz/admin-crash-923d
stat::number_of_executed_units: 256
"""


def test_a_run_that_found_nothing() -> None:
    assert read_run("path", 1.5, 0, STATS) == Run("path", 1.5, 2000, 42)


def test_a_finding() -> None:
    found = read_run("admin", 1.5, 77, FOUND)
    kept = Path("build/fuzz/admin-crash-923d")
    assert found == Run("admin", 1.5, 256, 0, kept, "AssertionError: a write that nobody saw")
    assert f"cp {kept} tests/fuzz/corpus/admin/" in advice(found, Path("tests/fuzz/corpus/admin"))


def test_a_run_that_broke_off_is_no_success() -> None:
    assert read_run("path", 1, 1, "No module named atheris").reason == "it ended with code 1"
    assert read_run("path", 1, 0, "").reason == "no input was run"


def test_the_table() -> None:
    runs = [Run("path", 600.4, 1234567, 420), Run("admin", 7, 256, 0, reason="a write that nobody saw")]
    assert table(runs).splitlines() == [
        "target  seconds  executions  new units  findings",
        "path        600   1,234,567        420         0",
        "admin         7         256          0         1",
    ]
