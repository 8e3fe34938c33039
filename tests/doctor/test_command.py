"""The command's own part: arguments, the exit code, and that a machine where nothing runs is told so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extproc.doctor.checks import CHECKS
from tests.cli.conftest import config, run
from tests.cli.running import Run, one_sentence

__all__ = ["config", "run"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        pytest.param(("--ignore", "nothing"), "'nothing' is no check: give one of processor, ", id="check"),
        pytest.param(("--url", "registry.example"), "'registry.example' is not http", id="url"),
        pytest.param(("--url", "http://a/b"), "'http://a/b' is not http", id="url with a path"),
        pytest.param(("--ca", "x"), "--ca is given without", id="ca alone"),
        pytest.param(("--username", "a"), "go together", id="name alone"),
        pytest.param(("--password-file", "a"), "go together", id="password alone"),
        pytest.param(
            ("--username", "a", "--password-file", "b", "--token-file", "c"),
            "does not go with",
            id="both kinds",
        ),
        pytest.param(("--username", "a", "--password-file", "none"), "--password-file 'none", id="no such password"),
        pytest.param(("--token-file", "none"), "--token-file 'none'", id="no such token"),
        pytest.param(("--repository", "G/app"), "'G/app' is not a repository name", id="repository"),
    ],
)
def test_usage(run: Run, config: Path, arguments: tuple[str, ...], part: str) -> None:
    ran = run("doctor", "-c", config, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert part in ran.err.replace(f"{Path.cwd()}/", "")


def test_a_file_that_is_no_token(run: Run, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("two words")
    one_sentence(run("doctor", "-c", config, "--token-file", file), 2, "is not one token")
    assert "two words" not in run("doctor", "-c", config, "--token-file", file).err


def test_timeout_is_bounded(run: Run, config: Path) -> None:
    assert run("doctor", "-c", config, "--timeout", "0").code == 2


def test_where_nothing_runs(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("https://issuer", "http://127.0.0.1:3"))
    ran = run("doctor", "-c", config, "-o", "json", "--ignore", "redirects", "--ignore", "clock")
    found = json.loads(ran.out)
    assert (ran.code, ran.err, found["state"]) == (1, "", "fault")
    assert [each["check"] for each in found["checks"]] == [
        name for name in CHECKS if name not in ("redirects", "clock")
    ]
    told = {each["check"]: each["state"] for each in found["checks"]}
    assert told["processor"] == told["envoy"] == told["registry-auth"] == "fault"
    assert told["store"] == "ok"
    assert all(
        bool(finding["remedy"]) == (finding["state"] != "ok")
        for each in found["checks"]
        for finding in each["findings"]
    )
    text = run("doctor", "-c", config, "--ignore", "redirects")
    assert text.code == 1
    assert "→ start geo-extproc serve" in text.out
