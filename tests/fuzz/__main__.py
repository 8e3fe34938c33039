"""`make fuzz`: each target for FUZZ_SECONDS (default 600), or those that are named; two at once.

    python -m tests.fuzz [TARGET …]

Ends with 1 when something was found. What is learned between runs, and the inputs of findings, are in build/fuzz/.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.fuzz import targets
from tests.fuzz.report import Run, advice, read_run, table

_ROOT: Final = targets.HERE.parent.parent
_WORK: Final = _ROOT / "build" / "fuzz"
_AT_ONCE: Final = 2
_ONE_INPUT: Final = 20
"""Seconds; an input that takes longer is a finding."""
_START_AND_END: Final = 120
"""Seconds that a run may take beyond its time."""


def run(target: str, work: Path, *options: str, within: float) -> Run:
    """One run of a target in a process of its own, `work` its folder; ended after `within` seconds."""
    learned = work / target
    learned.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz.one", target),
        *(f"-timeout={_ONE_INPUT}", "-print_final_stats=1", f"-artifact_prefix={work}/{target}-", *options),
        *(str(learned), str(targets.corpus(target))),
    ]
    # What is hashed decides on branches: the same in each run.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Run(target, within, 0, 0, reason=f"it did not end within {within:g} s")
    seconds = time.monotonic() - started
    printed = done.stdout.decode("utf-8", "replace")
    (work / f"{target}.log").write_text(printed)
    return read_run(target, seconds, done.returncode, printed)


def main(names: Sequence[str], seconds: int) -> int:
    _WORK.mkdir(parents=True, exist_ok=True)

    def timed(name: str) -> Run:
        return run(name, _WORK, f"-max_total_time={seconds}", within=seconds + _START_AND_END)

    with ThreadPoolExecutor(_AT_ONCE) as places:
        runs = list(places.map(timed, names))
    print(table(runs))
    for each in runs:
        if each.failed:
            corpus = targets.corpus(each.target).relative_to(_ROOT)
            print(f"\n{advice(each, corpus)}\n  what it printed: {_WORK / each.target}.log")
    return int(any(each.failed for each in runs))


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(targets.NAMES)
    unknown = [name for name in wanted if name not in targets.NAMES]
    if unknown:
        sys.exit(f"no target {', '.join(unknown)}: there are {', '.join(targets.NAMES)}")
    sys.exit(main(wanted, int(os.environ.get("FUZZ_SECONDS", "600"))))
