"""What the operator allows the decision to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in seconds. See the `policy` table of the settings for each one's meaning."""

    max_staleness: float = 60.0
    unknown_digests_local: bool = True
    present_recheck: float = 60.0
    write_timeout: float = 120.0
