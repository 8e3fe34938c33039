"""The names that dashboards and alerts build on; the same everywhere (promise P8)."""

from __future__ import annotations

from typing import Final

SERVICE: Final = "geo-extproc"
DECISIONS: Final = "geo_extproc.decisions"
"""Counter: one per decision, with `geo.reason`, `geo.route` and `geo.operation`."""
DECISION_SPAN: Final = "geo_extproc.decide"
REASON: Final = "geo.reason"
ROUTE: Final = "geo.route"
OPERATION: Final = "geo.operation"
REPOSITORY: Final = "geo.repository"
STORE_CHANGES: Final = "geo_extproc.store.changes"
"""Counter: the store became unavailable or available again (`geo.store.available`)."""
STORE_AVAILABLE: Final = "geo.store.available"
UNSEEN_WRITES: Final = "geo_extproc.unseen_writes"
"""Counter: copies of writes that reached the primary without a decision."""
WORKER_EXITS: Final = "geo_extproc.worker.exits"
"""Counter: worker processes that ended, with `geo.worker.clean`."""
WORKER_CLEAN: Final = "geo.worker.clean"
