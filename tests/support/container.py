"""A program as in a hardened container: a user of no rights, and nothing that it may write to but what is given.

It sees a file system of its own, in a mount namespace of its own, which goes with it: system, interpreter and
checkout, all read-only, no /tmp, no /dev/shm, no home. Network and processes are the machine's. Needs root.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
USER: Final = 65534
OTHER_USER: Final = 65533
GROUP: Final = 61234
"""What both may have in common; neither is in it unless told."""

_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/dev", "/proc")
# The mounts are made on a fresh tmpfs, so that folders on the way to them are everybody's to enter. `$1` is where,
# `$2` and `$3` user and groups; then read-only paths, `--`, writable ones, `--`, the command.
_SCRIPT: Final = """
set -eu
root=$1 user=$2 groups=$3
shift 3
mount -t tmpfs -o mode=755 none "$root"
options=remount,bind,ro
while [ "$1" != -- ] || [ "$options" ]; do
    if [ "$1" = -- ]; then
        options=
    elif [ -L "$1" ]; then
        cp -P "$1" "$root$1"
    elif [ -d "$1" ]; then
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        [ -z "$options" ] || mount -o "$options" "$root$1"
    fi
    shift
done
shift
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/env -i -C / PATH=/usr/bin:/bin LANG=C.UTF-8 /usr/bin/setpriv \\
    --reuid "$user" --regid "$user" --groups "$groups" --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
"""


@functools.cache
def why_not() -> str:
    """Why this machine cannot run one; empty when it can."""
    if os.geteuid() != 0:
        return "not root"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip()


def contained(
    command: Iterable[str],
    root: Path,
    *,
    readable: Iterable[Path] = (),
    writable: Iterable[Path] = (),
    user: int = USER,
    groups: Iterable[int] = (),
) -> list[str]:
    """The command line that runs `command` so. `root` is an empty folder for the mounts; other folders are given by
    their own paths. Its first process is the command itself, in the end."""
    reading = dict.fromkeys(map(str, (*_SYSTEM, sys.base_prefix, CHECKOUT, sys.prefix, *readable)))
    return [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh", str(root), str(user)),
        ",".join(map(str, (user, *groups))),
        *(*reading, "--", *map(str, writable), "--", *command),
    ]
