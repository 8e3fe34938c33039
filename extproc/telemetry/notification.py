"""Counters and histograms of what the registries tell."""

from __future__ import annotations

from typing import Final

from opentelemetry.metrics import Meter

from extproc.notification.event import Action, Site
from extproc.notification.ingest import Outcome
from extproc.telemetry import names
from extproc.telemetry.counter import counter

_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Buckets' bounds: a notification takes milliseconds, replication up to hours."""


_REFUSALS: Final = (400, 401, 403, 408, 413, 415, 503)
"""Statuses of the endpoint (admin/notifications.py)."""


class NotificationRecorder:
    """Records with a meter of the opentelemetry SDK. Never raises for an exporter."""

    def __init__(self, meter: Meter) -> None:
        pushed = {names.ACTION: Action.PUSH.value, names.OUTCOME: Outcome.APPLIED.value}
        self._events = counter(
            meter,
            names.NOTIFICATIONS,
            unit="{event}",
            description="Events of registries",
            series=[{names.SITE: site.value, **pushed} for site in Site],
        )
        self._refused = counter(
            meter,
            names.NOTIFICATIONS_REFUSED,
            unit="{request}",
            description="Notifications that were not accepted",
            series=[{names.SITE: site.value, names.STATUS: status} for site in Site for status in _REFUSALS],
        )
        self._delay = meter.create_histogram(
            names.NOTIFICATION_DELAY,
            unit="s",
            description="From the event to its acknowledgement",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._lag = meter.create_histogram(
            names.REPLICATION_LAG,
            unit="s",
            description="From a push on the primary to its presence at the secondary",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None:
        self._events.add(1, {names.SITE: site.value, names.ACTION: action.value, names.OUTCOME: outcome.value})

    def delayed(self, site: Site, seconds: float) -> None:
        self._delay.record(seconds, {names.SITE: site.value})

    def arrived(self, seconds: float) -> None:
        self._lag.record(seconds)

    def refused(self, site: Site, status: int) -> None:
        """A request that was answered with `status` instead of being taken."""
        self._refused.add(1, {names.SITE: site.value, names.STATUS: status})
