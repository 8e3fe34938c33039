"""Every kept input through its target: samples, and what was found. No fuzzer is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import targets

INPUTS = [
    pytest.param(name, path, id=f"{name}-{path.name}")
    for name in targets.NAMES
    for path in sorted(targets.corpus(name).iterdir())
]
SEEN = {
    "path": {"manifest", "blob", "upload", "malformed", "gitlab-api", "unknown", "manifest-put", "manifest-delete"},
    "token": {"grant", "missing", "expired", "invalid", "unverifiable"},
    "notification": {"changes", "taken", "invalid"},
    "stream": {"tag-verified", "tag-unverified", "digest-deleted", "write", "token-invalid", "protocol-error"},
    "admin": {"copy", "void", "events", "200", "400", "401", "415"},
}
"""What the kept inputs of a target lead to, among others: a corpus that is refused at the door shows nothing."""


@pytest.mark.parametrize(("name", "path"), INPUTS)
def test_a_kept_input(name: str, path: Path) -> None:
    targets.load(name)(path.read_bytes())


@pytest.mark.parametrize("name", targets.NAMES)
def test_an_input_means_the_same_each_time(name: str) -> None:
    check = targets.load(name)
    inputs = [path.read_bytes() for path in sorted(targets.corpus(name).iterdir())]
    assert [check(data) for data in inputs] == [check(data) for data in inputs]


@pytest.mark.parametrize("name", targets.NAMES)
def test_the_kept_inputs_reach_what_matters(name: str) -> None:
    check = targets.load(name)
    outcomes = {word for path in targets.corpus(name).iterdir() for word in check(path.read_bytes()).split(" ")}
    assert SEEN[name] <= outcomes


@pytest.mark.parametrize("name", targets.NAMES)
def test_an_input_is_no_longer_than_the_fuzzer_makes_them(name: str) -> None:
    assert max(path.stat().st_size for path in targets.corpus(name).iterdir()) <= targets.LONGEST
