"""How long a client is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    speaks_within: float = 10.0
    """Until a connection has begun to speak HTTP/2: its preface and SETTINGS are there."""
    reads_within: float = 30.0
    """Until a client has read of what was sent to it, once that is too much to be kept, or is the last."""
