"""Notifications as metrics: with the names that dashboards know, and nothing unbounded in them."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from extproc.notification.event import Action, Site
from extproc.notification.ingest import Outcome
from extproc.telemetry.notification import NotificationRecorder


def test_what_is_exported() -> None:
    reader = InMemoryMetricReader()
    recorder = NotificationRecorder(MeterProvider([reader]).get_meter("test"))
    recorder.counted(Site.PRIMARY, Action.PUSH, Outcome.APPLIED)
    recorder.counted(Site.PRIMARY, Action.PUSH, Outcome.APPLIED)
    recorder.refused(Site.SECONDARY, 401)
    recorder.delayed(Site.PRIMARY, 0.25)
    recorder.arrived(90.0)
    data: Any = reader.get_metrics_data()
    points = [
        (metric.name, (metric.unit, dict(point.attributes), point.value if hasattr(point, "value") else point.sum))
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
    found = {name: point for name, point in points if point[2]}
    # Series that are there before anything happened, so that the first time is an increase.
    assert {name for name, point in points if not point[2]} == {
        "geo_extproc.notifications",
        "geo_extproc.notifications.refused",
    }
    assert len(points) == len(found) + 14
    assert found == {
        "geo_extproc.notifications": (
            "{event}",
            {"geo.site": "primary", "geo.action": "push", "geo.outcome": "applied"},
            2,
        ),
        "geo_extproc.notifications.refused": ("{request}", {"geo.site": "secondary", "geo.status": 401}, 1),
        "geo_extproc.notifications.delay": ("s", {"geo.site": "primary"}, 0.25),
        "geo_extproc.replication.lag": ("s", {}, 90.0),
    }
