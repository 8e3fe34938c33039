"""When a site is left alone.

The rules

1. The secondary is an optimization: unhealthy or ejected, it gets nothing (panic threshold 0), and reads go
   straight to the primary.
2. The primary is always tried, however often it failed (P1). Where all its addresses look bad, Envoy's panic
   mode uses them all; where a cluster must do without panic, the primary is not checked, or is asked last.
"""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import ClusterCommonLbConfig, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import (
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    HealthCheckHttpHealthCheck,
)
from envoy_data_plane.envoy.type.v3 import Int64Range, Percent

from extproc.bootstrap.names import UNBOUNDED, seconds
from extproc.settings import Envoy


def registry_check(envoy: Envoy) -> HealthCheck:
    """A registry is well when its API base answers; without a token that answer is 401."""
    interval = seconds(envoy.health_interval)
    return HealthCheck(
        timeout=seconds(min(envoy.health_interval, envoy.per_try_timeout)),
        interval=interval,
        # Envoy's default is one minute for a cluster that has had no traffic: too late to be of use.
        no_traffic_interval=interval,
        unhealthy_threshold=2,
        healthy_threshold=1,
        http_health_check=HealthCheckHttpHealthCheck(
            path=envoy.health_path,
            expected_statuses=[Int64Range(start=200, end=201), Int64Range(start=401, end=402)],
        ),
    )


def answering_check(envoy: Envoy) -> HealthCheck:
    """Where another may answer instead: whatever is said below 500 is an answer, not for another to replace."""
    check = registry_check(envoy)
    if check.http_health_check is not None:
        check.http_health_check.expected_statuses = [Int64Range(start=200, end=500)]
    return check


def processor_check() -> HealthCheck:
    """A worker that drains answers NOT_SERVING; one second later it gets nothing new (fact 10)."""
    second = timedelta(seconds=1)
    return HealthCheck(
        timeout=second,
        interval=second,
        no_traffic_interval=second,
        unhealthy_threshold=1,
        healthy_threshold=1,
        grpc_health_check=HealthCheckGrpcHealthCheck(),
    )


def no_panic() -> ClusterCommonLbConfig:
    """Without a healthy endpoint the cluster counts as empty, instead of all its endpoints being tried."""
    return _lb_config(panic_below=0.0)


def panic() -> ClusterCommonLbConfig:
    """With half of the endpoints or more looking bad, all are tried: one alone is therefore always tried."""
    return _lb_config(panic_below=51.0)


def _lb_config(*, panic_below: float) -> ClusterCommonLbConfig:
    return ClusterCommonLbConfig(
        healthy_panic_threshold=Percent(value=panic_below),
        # By default Envoy collects changes of health for a second: a second more of requests to a dead endpoint.
        update_merge_window=UNBOUNDED,
    )


def outliers(*, eject_all: bool) -> OutlierDetection:
    """Ejects an endpoint that fails requests in a row although its health check succeeds.

    Only what a registry never means as an answer counts: gateway errors, connections that failed or broke, no
    headers in time. A 500 about one broken manifest says nothing of the site. Local and remote failures are
    not counted apart: then each successful connect sets the count of broken answers to zero, and a site that
    accepts connections is never ejected.
    """
    return OutlierDetection(
        consecutive_gateway_failure=5,
        enforcing_consecutive_gateway_failure=100,
        enforcing_consecutive_5xx=0,
        # Statistics over a handful of endpoints mislead.
        enforcing_success_rate=0,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=5),
        max_ejection_time=timedelta(seconds=60),
        max_ejection_percent=100 if eject_all else 50,
        always_eject_one_host=eject_all,
        # A health check of the API base must not undo what failing requests have shown.
        successful_active_health_check_uneject_host=False,
    )
