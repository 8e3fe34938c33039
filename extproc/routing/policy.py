"""What the operator allows the decision to do."""

from __future__ import annotations

from dataclasses import dataclass

from extproc.routing.rollout import SERVE, Rollout


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in seconds. See the tables `policy` and `rollout` of the settings for each one's meaning."""

    max_staleness: float = 60.0
    unknown_digests_local: bool = True
    present_recheck: float = 60.0
    write_timeout: float = 120.0
    serve_stale: bool = False
    """The secondary may answer, where the primary fails, what is not known to be untrue."""
    rollout: Rollout = SERVE
    promoted: bool = False
    """This site is the primary: its registry answers everything."""
