"""docs/threats.md names tests that exist, and every test of a threat."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "threats.md"
ROW: Final = re.compile(r"^\| (?!threat )([^|]+) \| (.+) \| ([^|]+) \|$", re.MULTILINE)
ID: Final = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")


def ids_in(path: Path) -> Iterator[str]:
    """The ids of a file's tests, read and not run."""
    for node in ast.parse(path.read_text()).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        for member in members:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and member.name.startswith("test_"):
                within = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
                yield f"{path.relative_to(ROOT)}::{within}{member.name}"


def named() -> list[str]:
    return [found for _, cell, _ in ROW.findall(PAGE.read_text()) for found in ID.findall(cell)]


def test_every_threat_has_tests_and_every_named_one_exists() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) > 35
    assert [threat for threat, cell, _ in rows if not ID.search(cell)] == []
    files = {ROOT / test.partition("::")[0] for test in named()}
    assert set(named()) - {test for file in files if file.exists() for test in ids_in(file)} == set()


def test_every_test_of_a_threat_has_its_row() -> None:
    """One that is missing here wants a row in docs/threats.md: threat, test, what it shows."""
    threats = {
        test for file in (ROOT / "tests").rglob("test_*.py") for test in ids_in(file) if "::test_threat_" in test
    }
    assert threats - set(named()) == set()
