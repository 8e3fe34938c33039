"""Completion, in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extproc.mesh.form import Form

SOURCE = 'eval "$(_GEO_EXTPROC_COMPLETE=source_bash geo-extproc)"\n'


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f"{SOURCE}COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        "_geo_extproc_completion geo-extproc\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("geo-extproc", "ex"), ["explain"]),
        (("geo-extproc", "envoy-config", "--fo"), ["--form"]),
        (("geo-extproc", "envoy-config", "--form", ""), [form.value for form in Form]),
        (("geo-extproc", "nothing-like-it"), []),
    ],
)
def test_what_is_offered(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered
