"""Snapshots as the tests want them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from extproc.page.served import Kind
from extproc.page.snapshot import Condition, Flow, Made, Snapshot

AT = 1_800_000_000.0
HERE = Made("digest-present", "secondary", "blob", "")
PRIMARY = Made("tag-stale", "primary", "manifest", "")
LOGIN = Made("token-missing", "refused", "api-base", "")
PUSH = Made("push-token", "primary", "blob", "")


def condition(**changes: Any) -> Condition:
    good: dict[str, Any] = {
        "ready": True,
        "store": "ok",
        "workers": 2,
        "workers_wanted": 2,
        "mode": "serve",
        "configuration": "ok",
        "keys": "ok",
        "keys_known": 2,
        "keys_needed": True,
    }
    return Condition(**(good | changes))


def evidence(**changes: Any) -> dict[str, Any]:
    """Of the document of `/status`."""
    figures: dict[str, Any] = dict.fromkeys(
        ("names", "dropped_names", "leases", "fresh_leases", "behind", "present", "absent", "tombstones", "marks"), 0
    )
    none = dict.fromkeys(("oldest_lease", "longest_wait", "median_lag", "longest_lag"))
    return {**figures, **none, "cut": False, "awaited": 0, "most_behind": [], **changes}


def site(*, detail: str = "", **changes: Any) -> dict[str, Any]:
    """The document of `/status`; with a `detail` the store is away."""
    store = {"url": "redis://r:6379/0", "available": not detail, "round_trip": None if detail else 0.0004}
    held = None if detail else evidence(**changes)
    return {
        "store": store | {"detail": detail},
        "evidence": held,
        "reconcile": None if detail else {"finished": None},
    }


def snapshot(
    decisions: Mapping[Made, int] | None = None,
    served: Mapping[Kind, int] | None = None,
    minutes: Sequence[Mapping[Made, int]] = (),
    **changes: Any,
) -> Snapshot:
    """Of a site where nothing is wrong; `decisions` and `served` came in the last minute."""
    flow = Flow(Counter(decisions or {}), Counter(served or {}))
    empty: list[Mapping[Made, int]] = [{}] * (60 - len(minutes))
    good: dict[str, Any] = {
        "at": AT,
        "since": AT - 7200,
        "condition": condition(),
        "minute": flow,
        "hour": flow,
        "minutes": [Counter(each) for each in (*empty, *minutes)],
        "last": [],
        "workers_answered": 2,
    }
    return Snapshot(**(good | changes))


def entry(**changes: Any) -> dict[str, Any]:
    """A decision as a journal reports it."""
    found: dict[str, Any] = {
        "at": AT,
        "method": "GET",
        "operation": "blob",
        "name": "g/app",
        "reference": "sha256:" + "a" * 64,
        "route": "secondary",
        "reason": "digest-present",
        "token": "verified",
        "lease_age": None,
        "would": None,
    }
    return found | changes
