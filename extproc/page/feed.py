"""What of the front page has changed since a reader saw it, as server-sent events. Pure.

Source: HTML Living Standard, "Server-sent events".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

CONTENT_TYPE: Final = "text/event-stream"
BEAT: Final = b": still here\n\n"
"""A comment: it shows whether anybody still listens."""


class Reader:
    """One who looks."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def event(self, parts: Mapping[str, str]) -> bytes:
        """What is new in `parts`; a beat where nothing is. The first event has them all: the page may be older."""
        new = {name: html for name, html in parts.items() if self._seen.get(name) != html}
        self._seen.update(new)
        return b"event: parts\ndata: " + json.dumps(new).encode() + b"\n\n" if new else BEAT
