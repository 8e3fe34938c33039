"""The Containerfile, read: `make test-image` builds it, which needs a base image and so a while."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
INSTRUCTIONS: Final = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "USER", "WORKDIR"}
"""That buildah, podman and docker have in common, and nothing that needs an engine's own extension."""


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name, " ".join(rest.split())) for name, rest in pairs]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_any_builder_knows_its_instructions() -> None:
    assert {name for name, _ in instructions()} <= INSTRUCTIONS


def test_it_runs_as_nobody_in_particular_and_as_a_program_not_a_shell() -> None:
    last = [name for name, _ in instructions()][-4:]
    assert last == ["USER", "EXPOSE", "ENTRYPOINT", "CMD"]
    assert of("USER") == ["1000:1000"]
    assert json.loads(of("ENTRYPOINT")[0]) == ["geo-extproc"]
    assert json.loads(of("CMD")[0]) == ["serve"]


def test_what_it_copies_is_there_and_is_let_through() -> None:
    let_through = (ROOT / ".containerignore").read_text().splitlines()
    copied = [source for each in of("COPY") if "--from" not in each for source in each.split()[:-1]]
    assert len(copied) >= 5
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in let_through, source
    assert {line[1:] for line in let_through if line.startswith("!")} == set(copied)


def test_it_compiles_with_what_stays_in_the_build_stage() -> None:
    (install,) = [each for each in of("RUN") if "pip install" in each]
    assert "HATCH_BUILD_HOOK_ENABLE_MYPYC=1" in install
    stages = [index for index, (name, _) in enumerate(instructions()) if name == "FROM"]
    runs = [index for index, (name, _) in enumerate(instructions()) if name == "RUN"]
    assert len(stages) == 2
    assert stages[0] < min(runs) <= max(runs) < stages[1]


def test_versions_are_those_of_the_constraints() -> None:
    (install,) = [each for each in of("RUN") if "pip install" in each]
    assert "PIP_CONSTRAINT=constraints.txt" in install
    (base,) = of("ARG")
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.(\d+)-slim-\w+", base)
