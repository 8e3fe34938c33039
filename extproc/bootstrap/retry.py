"""Which requests are sent again: reads only, once at each cluster there is to ask."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryPriority,
)
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import PreviousPrioritiesConfig
from envoy_data_plane.google.protobuf import Any

from extproc.bootstrap.names import seconds
from extproc.settings import Envoy

FALL_BACK_STATUSES = (401, 403, 404, 429, 500, 502, 503, 504)
"""Fact 3. 401 and 403 too: a secondary with an old key must not hurt."""


def fall_back(envoy: Envoy) -> RetryPolicy:
    """From the secondary to the primary.

    Fact 2: exactly one try per cluster. With one more, a 404 of the primary becomes a 503.
    """
    policy = RetryPolicy(
        retry_on="retriable-status-codes,connect-failure,refused-stream,reset",
        num_retries=1,
        # Bounds the wait for headers only; a body takes its time.
        per_try_timeout=seconds(envoy.per_try_timeout),
        retriable_status_codes=list(FALL_BACK_STATUSES),
        retry_back_off=_at_once(),
    )
    return _elsewhere(policy, envoy)


def only_if_it_fails(envoy: Envoy) -> RetryPolicy:
    """From the primary to the secondary: what the primary says below 500 is the answer.

    No headers within the per-try timeout count as 504. The last try is the primary's again, in a cluster that is
    always tried: where the secondary has nothing, one that was left alone may be back (P1). One try per cluster, as
    above.
    """
    policy = RetryPolicy(
        retry_on="5xx,connect-failure,refused-stream,reset",
        num_retries=2,
        per_try_timeout=seconds(envoy.per_try_timeout),
        retry_back_off=_at_once(),
    )
    return _elsewhere(policy, envoy)


def _elsewhere(policy: RetryPolicy, envoy: Envoy) -> RetryPolicy:
    if envoy.fallback == "priorities":
        # Fact 16: after each attempt, not after every second one, the priority just tried is left out.
        policy.retry_priority = RetryPolicyRetryPriority(
            name="envoy.retry_priorities.previous_priorities",
            typed_config=Any.pack(PreviousPrioritiesConfig(update_frequency=1)),
        )
    return policy


def again() -> RetryPolicy:
    """A read at the only site to ask that got no answer at all, as when a kept connection was closed meanwhile."""
    return RetryPolicy(retry_on="connect-failure,refused-stream,reset", num_retries=1, retry_back_off=_at_once())


def _at_once() -> RetryPolicyRetryBackOff:
    """The second try goes elsewhere or is the only one: nothing is gained by Envoy's 25 ms and more."""
    return RetryPolicyRetryBackOff(base_interval=timedelta(milliseconds=1), max_interval=timedelta(milliseconds=2))
