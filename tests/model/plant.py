"""Plants each fault of faults.py in a copy of the tree and runs the model check there: it must find every one.

    python -m tests.model.plant [--examples N] [--seeds N…] [FAULT…]

First the copy as it is must pass. A fault's text must be there exactly once, so that a change of the code cannot make
this check an empty one. Prints a line for each; exit 1 when one is not found, or found as another promise's breach.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.model.faults import FAULTS, Edit, Fault

ROOT: Final = Path(__file__).resolve().parents[2]
_COPIED: Final = ("extproc", "tests", "pyproject.toml")
_BROKEN: Final = re.compile(r"PromiseBroken: (\S+) is broken: (.*)")


class NotPlanted(Exception):
    """The code has changed; the message says which text is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the check said. `promise` is empty when it passed."""

    promise: str
    words: str
    seed: int
    seconds: float


def copy_of_the_tree(folder: Path) -> None:
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


def plant(edits: Sequence[Edit], root: Path) -> None:
    """Raises NotPlanted."""
    for edit in edits:
        path = root / edit.file
        text = path.read_text()
        if (times := text.count(edit.old)) != 1:
            raise NotPlanted(f"{edit.file} has {times} times, not once:\n{edit.old}\ncorrect tests/model/faults.py")
        path.write_text(text.replace(edit.old, edit.new))


def check(root: Path, examples: int, seed: int, test: str = "test_memory") -> Found:
    """One run of the model check in `root`, without shrinking. Raises AssertionError when it fails in another way."""
    begun = time.monotonic()
    environment = {
        **os.environ,
        "GEO_TEST_MODEL_EXAMPLES": str(examples),
        "GEO_TEST_MODEL_SEED": str(seed),
        "GEO_TEST_MODEL_SHRINK": "0",
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"tests/model/test_machine.py::{test}"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode == 0:
        return Found("", "", seed, seconds)
    broken = _BROKEN.search(done.stdout)
    if broken is None:
        raise AssertionError(
            f"the check failed without a broken promise:\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
        )
    return Found(broken[1], broken[2], seed, seconds)


def hunt(fault: Fault, examples: int, seeds: Sequence[int]) -> Found:
    """Plant it in a fresh copy, and look for it with one seed after the other."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        root = Path(folder)
        copy_of_the_tree(root)
        plant(fault.edits, root)
        spent = 0.0
        for seed in seeds:
            found = check(root, examples, seed)
            spent += found.seconds
            if found.promise:
                break
        return Found(found.promise, found.words, found.seed, spent)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Plant faults and see the model check find them.")
    parser.add_argument("--examples", type=int, default=2000, help="examples for each seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="tried until found (default: 0 1 2)")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="those whose name contains it; all by default")
    options = parser.parse_args(arguments)
    chosen = [f for f in FAULTS if not options.faults or any(word in f.name for word in options.faults)]
    with tempfile.TemporaryDirectory(prefix="unplanted-") as folder:
        copy_of_the_tree(Path(folder))
        unplanted = check(Path(folder), min(options.examples, 200), options.seeds[0])
    print(f"{'nothing planted':40} {unplanted.promise or 'passes':9} {unplanted.seconds:6.1f} s", flush=True)
    missed = bool(unplanted.promise)
    for fault in chosen:
        found = hunt(fault, options.examples, options.seeds)
        right = found.promise in fault.promises
        missed |= not right
        verdict = found.promise or "NOT FOUND"
        print(f"{fault.name:40} {verdict:9} {found.seconds:6.1f} s  {found.words[:120]}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
