"""The warden: a process that ends everything marked as the sandbox's once the sandbox is gone.

It waits for the end of its standard input, which the kernel closes however the sandbox ends, kill -9 included.
Every program carries the mark in its environment, so there is no list to keep up to date and no moment at which
a program runs unlisted; children in sessions of their own are found too.

Run by file, not by module: `python -I -S warden.py MARK FOLDER…` starts in a few milliseconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

VARIABLE = "GEO_SANDBOX"


def marked(mark: str) -> list[int]:
    """The processes whose environment at their start had the mark; not those that have ended."""
    wanted = f"{VARIABLE}={mark}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def sweep(mark: str, rounds: int = 500) -> None:
    """Kill what carries the mark until nothing does; a program may fork while we look."""
    for _ in range(rounds):
        pids = marked(mark)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def main(arguments: list[str]) -> None:
    mark, *folders = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, b"ready\n")
    while os.read(0, 4096):
        pass
    sweep(mark)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
