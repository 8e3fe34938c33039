"""All checks by name, in the order in which they are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from extproc.doctor.clock import clock
from extproc.doctor.envoy import envoy
from extproc.doctor.envoy_config import envoy_config
from extproc.doctor.finding import Finding
from extproc.doctor.installation import Installation
from extproc.doctor.notifications import notifications
from extproc.doctor.processor import processor
from extproc.doctor.redirects import redirects
from extproc.doctor.registry_auth import registry_auth
from extproc.doctor.site_urls import site_urls
from extproc.doctor.steering import steering
from extproc.doctor.store import store
from extproc.doctor.store_durability import store_durability
from extproc.doctor.token_accepted import token_accepted
from extproc.doctor.token_keys import token_keys

Check = Callable[[Installation], AsyncGenerator[Finding, None]]

CHECKS: Final[Mapping[str, Check]] = {
    "processor": processor,
    "envoy": envoy,
    "envoy-config": envoy_config,
    "steering": steering,
    "token-keys": token_keys,
    "token-accepted": token_accepted,
    "registry-auth": registry_auth,
    "site-urls": site_urls,
    "clock": clock,
    "store": store,
    "store-durability": store_durability,
    "notifications": notifications,
    "redirects": redirects,
}
