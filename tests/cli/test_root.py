"""What all commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from extproc import cli
from extproc.form import is_compiled
from extproc.settings import Settings
from tests.cli.running import Run, one_sentence

COMMANDS = [command.name or command.callback.__name__ for command in cli.cli.registered_commands if command.callback]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    result = CliRunner().invoke(cli.cli, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_no_command() -> None:
    result = CliRunner().invoke(cli.cli, [])
    assert result.exit_code == 2
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("nonsense",), id="command"),
        pytest.param(("serve", "--nonsense"), id="option"),
        pytest.param(("explain",), id="no request"),
        pytest.param(("check-config", "-o", "xml"), id="output"),
    ],
)
def test_wrong(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", [("serve",), ("check-config",), ("envoy-config",), ("explain", "a")])
def test_no_configuration(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = run(*command, "--config", tmp_path / "nowhere.toml")
    one_sentence(ran, 2, "nowhere.toml", "No such file", "--config")


def test_the_configuration_from_the_environment(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEO_EXTPROC_CONFIG", str(config))
    assert run("check-config").code == 0


def test_version(run: Run) -> None:
    ran = run("--version")
    form = ", compiled" if is_compiled() else ""
    assert (ran.code, ran.out, ran.err) == (0, f"geo-extproc {version('geo-extproc')}{form}\n", "")


def test_the_order_of_the_commands(run: Run) -> None:
    listed = [line for line in CliRunner().invoke(cli.cli, ["--help"]).output.split() if line in COMMANDS]
    assert listed[:3] == ["serve", "check-config", "envoy-config"]
    assert listed[-2:] == ["sandbox", "demo"]
    assert sorted(listed) == sorted(COMMANDS)


def loaded_by(*arguments: str) -> set[str]:
    """Modules that the command loads."""
    script = (
        "import sys\nfrom extproc.__main__ import run\ntry:\n run()\nfinally:\n print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(("--help",), {"pydantic", "grpc", "redis", "jwt", "aiohttp", "envoy_data_plane"}, id="help"),
        pytest.param(
            ("serve", "-c", "nowhere"), {"extproc.sandbox", "envoy_data_plane", "rich.progress"}, id="serve"
        ),
        pytest.param(("explain", "-c", "nowhere", "a"), {"extproc.sandbox", "envoy_data_plane"}, id="explain"),
        pytest.param(("envoy-config", "-c", "nowhere"), {"extproc.sandbox", "grpc", "redis"}, id="envoy-config"),
    ],
)
def test_a_command_loads_what_it_needs(arguments: tuple[str, ...], code: set[str]) -> None:
    """A start takes tenths of a second and not one for each part of the program."""
    loaded = loaded_by(*arguments)
    assert "extproc.cli" in loaded
    assert loaded & code == set()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--version",), id="version"),
        pytest.param(("envoy-config",), id="envoy-config"),
        pytest.param(("check-config",), id="check-config"),
        pytest.param(("explain", "a/b", "-o", "json"), id="explain"),
    ],
)
def test_a_full_disk_is_one_sentence(config: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "extproc", *arguments],
            env={"GEO_EXTPROC_CONFIG": str(config)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    (sentence,) = ran.stderr.splitlines()
    assert sentence.startswith("geo-extproc: cannot write to standard output: No space left on device; ")


def test_a_reader_that_has_gone_is_no_fault(config: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "extproc", "envoy-config", "-c", str(config)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_interrupted(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(file: Path) -> Settings:
        raise KeyboardInterrupt

    monkeypatch.setattr(Settings, "load", interrupt)
    assert run("check-config", "-c", config).code in {1, 130}
