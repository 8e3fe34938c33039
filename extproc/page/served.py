"""What each site has served, as Envoy counts it (extproc/bootstrap/site_stats.py): requests and bytes of bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from extproc.settings import Endpoint

_WITHIN: Final = 1.0
"""Seconds for Envoy's answer."""
_PATH: Final = "/stats/prometheus?filter=geo%5C.served_"
_NAMES: Final = {"envoy_geo_served_requests": "requests", "envoy_geo_served_bytes": "bytes"}


class EnvoyUnheard(Exception):
    """Envoy's admin interface did not tell; the message says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is counted apart."""

    unit: str
    """`requests` or `bytes`."""
    site: str
    """`primary`, `secondary`; `none` where Envoy answered by itself."""
    redirect: bool
    """The bytes come from elsewhere."""


class Envoy:
    """Asked at its admin interface."""

    def __init__(self, admin: Endpoint) -> None:
        self._url = f"http://{admin.reached}"

    async def served(self) -> Mapping[Kind, int]:
        """Since its start. Raises EnvoyUnheard."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WITHIN)) as session,
                session.get(f"{self._url}{_PATH}", allow_redirects=False) as answer,
            ):
                text, status = await answer.text(), answer.status
            if status == 200:
                return counted(text)
            fault = f"it answers {status}"
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            fault = f"{error or type(error).__name__}"
        raise EnvoyUnheard(
            f"Envoy's admin interface does not tell at {self._url}: {fault}; "
            "see that envoy.admin is reachable from here"
        )


def counted(page: str) -> dict[Kind, int]:
    """From Prometheus' text format. Raises ValueError."""
    found: dict[Kind, int] = {}
    for family in text_string_to_metric_families(page):
        unit = _NAMES.get(family.name)
        if unit is None:
            continue
        for sample in family.samples:
            labels = sample.labels
            site = labels.get("site", "-")
            kind = Kind(unit, "none" if site in {"-", ""} else site, labels.get("status", "").startswith("3"))
            found[kind] = found.get(kind, 0) + int(sample.value)
    return found
