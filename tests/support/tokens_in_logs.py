"""Whether a log has a token in it: asked of each that a test's processes have written, whatever the test is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TOKEN: Final = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}|Bearer (?!realm=)[A-Za-z0-9._~+/-]{16,}")
"""Two JSON objects in base64, as a JWT begins; or what stands in `Authorization`, but no challenge."""

FOUND: Final[list[str]] = []
"""Of the test that runs: files, each with what stands before the token."""


def look(files: Iterable[Path]) -> None:
    """Note in FOUND what these have."""
    for file in files:
        content = file.read_bytes() if file.exists() else b""
        if match := _TOKEN.search(content):
            before = content[max(0, match.start() - 200) : match.start() + 10]
            FOUND.append(f"{file.name}: …{before.decode(errors='replace')}…")
