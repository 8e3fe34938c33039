"""The form of the hot path that runs here is the one that is to be tested, in this process and in those it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest

from extproc.form import is_compiled
from tests.support.program import Program
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[1]
WANTED = bool(os.environ.get("GEO_TEST_COMPILED"))
"""`make test-compiled` says so."""
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
HOOK = BUILD["hooks"]["mypyc"]


def hot_path() -> list[str]:
    """The modules that the build hook names."""
    named = [ROOT / each.removeprefix("/") for each in HOOK["include"]]
    files = {file for each in named for file in ([each] if each.suffix else each.rglob("*.py"))}
    but = {ROOT / each.removeprefix("/") for each in HOOK["exclude"]}
    kept = sorted(file for file in files - but if file.name != "__init__.py")
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in kept]


@pytest.mark.parametrize("kind", ["include", "exclude"])
def test_what_the_build_hook_names_is_there(kind: str) -> None:
    for each in HOOK[kind]:
        assert each == "__init__.py" or (ROOT / each.removeprefix("/")).exists(), each


def test_the_build_uses_the_versions_of_the_constraints_and_compiles_only_when_told() -> None:
    assert HOOK["enable-by-default"] is False
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(HOOK["dependencies"]) <= set(pinned)


def test_all_of_the_hot_path_is_compiled_or_none() -> None:
    """None also means that no compiled module lies beside its source, where it would be imported for ever."""
    assert len(hot_path()) > 40
    for module in hot_path():
        found = find_spec(module)
        assert found is not None
        assert isinstance(found.loader, ExtensionFileLoader) is WANTED, found.origin
    assert is_compiled() is WANTED


def test_processes_that_tests_start_have_the_same_form(tmp_path: Path) -> None:
    script = "from extproc.transport.http2 import connection; print(connection.__file__)"
    command = [sys.executable, "-c", script]
    file = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.strip()
    assert file.endswith(".so") is WANTED
    if WANTED:
        assert Path(file).is_relative_to(ROOT / "build" / "compiled")


def test_workers_have_the_same_form_and_say_so(tmp_path: Path, redis_server: RedisServer, prefix: str) -> None:
    settings = f'store = {{url = "{redis_server.url}", prefix = "{prefix}"}}\nserver.workers = 2\n'
    with Program(tmp_path, settings) as program:
        program.ready(workers=2)
        serving = program.logged("serving")
        assert [line["compiled"] for line in serving] == [WANTED, WANTED]
        workers = program.workers()
        assert len(workers) == 2
        for pid in workers:
            # The library that all compiled modules are in; the files named after them need not be loaded.
            mapped = Path(f"/proc/{pid}/maps").read_text().splitlines()
            assert any("__mypyc.cpython-" in line and str(ROOT) in line for line in mapped) is WANTED
        with urlopen(f"http://127.0.0.1:{program.admin_port}/metrics", timeout=5) as answer:
            assert f'geo_compiled="{str(WANTED).lower()}"' in answer.read().decode()
