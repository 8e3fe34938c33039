"""The chart's pod between two real registries, with the Secrets that it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from extproc.sandbox.edge import merged
from extproc.sandbox.issuer import ISSUER, SERVICE
from extproc.sandbox.site import Sites
from tests.helm.chart import outcome
from tests.helm.kubelet import Pod
from tests.helm.values import least


@asynccontextmanager
async def installed(sites: Sites, settings: Mapping[str, Any], **values: Any) -> AsyncIterator[Pod]:
    """`settings` and `values` are merged in. The registries' notifications come to this pod."""
    between = {
        "sites": {
            "primary": {"url": sites.primary_wan_url},
            "secondary": {"url": sites.secondary.url},
            "issuer": {"url": sites.issuer_url},
        },
        "auth": {"realm": sites.auth_url, "service": SERVICE, "issuer": ISSUER},
        "server": {"drain": 1},
    }
    own = {
        "settings": between,
        "notifications": {"existingSecret": "notifications"},
        "envoy": {"drain": {"least": 0, "most": 30}},
    }
    rendered = outcome(least(**merged(merged(own, {"settings": settings}), values)))
    assert rendered.refusal == ""
    assert sites.redis_url is not None
    authorization = sites.notification_authorization.removeprefix("Bearer ")
    secrets = {
        "issuer-keys": {"issuer.pem": sites.signing.certificate.read_bytes()},
        "geo-redis": {"url": sites.redis_url.encode()},
        "notifications": {"secret": authorization.encode()},
    }
    async with Pod(rendered, secrets, ports={9001: sites.admin_port}) as pod:
        yield pod
