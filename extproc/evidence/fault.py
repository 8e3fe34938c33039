"""A store that does not serve, in one sentence with the remedy: an outage passes, the other two do not."""

from __future__ import annotations

from extproc.evidence.store import StoreRefused, StoreUnavailable, StoreUnusable


def fault(error: StoreUnavailable, url: str = "") -> str:
    """For people. `url`, without secrets, is named where `error` does not name it."""
    what = str(error) if url in str(error) else f"{url}: {error}"
    if isinstance(error, StoreRefused):
        return f"the store refused us: {what}; correct the store table's user and password, or what that user may do"
    if isinstance(error, StoreUnusable):
        return f"the store cannot be used: {what}; correct the store table"
    return f"the store is away: {what}; start it or correct the store table"
