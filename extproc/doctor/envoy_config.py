"""The configuration that Envoy runs with against what `envoy-config` renders now.

Compared are listeners and clusters, by name, field by field as Envoy shows them; forms of one value (1s and 1.000s,
"5" and 5) are equal. What runs beside them, such as a mesh adds, is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, Final

from extproc.doctor.finding import Finding, fault, ok, unknown
from extproc.doctor.installation import Installation
from extproc.doctor.peer import Unreachable

_DURATION: Final = re.compile(r"-?\d+(\.\d+)?s")
_NUMBER: Final = re.compile(r"-?\d{1,20}")
_SHOWN: Final = 60
_RENDER: Final = (
    "render it with geo-extproc envoy-config from the settings that the processor has, and restart Envoy; where it "
    "is configured by other means, give --ignore envoy-config"
)
_ABSENT: Final = object()
_REDACTED: Final = "[redacted]"
"""What Envoy shows instead of anything that leads to a private key."""

Named = dict[tuple[str, str], Any]
"""By kind (`listener`, `cluster`) and name."""


async def envoy_config(at: Installation) -> AsyncGenerator[Finding, None]:
    """`/config_dump`."""
    try:
        dump = await at.envoy_document("/config_dump")
    except Unreachable as error:
        yield unknown("admin", str(error), "run this where envoy.admin is reachable, or correct it")
        return
    yield judged(running(dump), rendered(at.rendered or {}))


def judged(runs: Named, wanted: Named) -> Finding:
    """Whether all that is wanted runs as it should."""
    if not runs.keys() & wanted.keys():
        return unknown(
            "config",
            "Envoy has none of the listeners and clusters that envoy-config renders: it is configured by other means",
            "compare it by hand with what envoy-config prints (docs/envoy.md)",
        )
    for kind, name in wanted:
        place = f"{kind} {name}"
        for difference in differences(wanted[kind, name], runs.get((kind, name), _ABSENT), place):
            return fault("config", f"Envoy's configuration differs: {difference}", _RENDER)
    return ok("config", "Envoy runs with what envoy-config renders")


def rendered(document: Mapping[str, Any]) -> Named:
    resources = document.get("static_resources", {})
    return {
        (kind, str(each.get("name"))): each
        for kind in ("listener", "cluster")
        for each in resources.get(f"{kind}s", [])
    }


def running(dump: Mapping[str, Any]) -> Named:
    """From a `config_dump`: static ones, and those that a control plane gave."""
    found: Named = {}
    for part in dump.get("configs", []):
        for kind in ("cluster", "listener"):
            for each in part.get(f"static_{kind}s", []):
                _put(found, kind, each.get(kind))
        for each in part.get("dynamic_active_clusters", []):
            _put(found, "cluster", each.get("cluster"))
        for each in part.get("dynamic_listeners", []):
            _put(found, "listener", (each.get("active_state") or {}).get("listener"))
    return found


def _put(found: Named, kind: str, value: Any) -> None:
    if isinstance(value, dict):
        found[kind, str(value.get("name"))] = {key: inner for key, inner in value.items() if key != "@type"}


def differences(wanted: Any, runs: Any, place: str) -> Iterator[str]:
    """In the order of what is wanted, each in words; `place` says where both are."""
    if isinstance(wanted, dict) and isinstance(runs, dict):
        for key in (*wanted, *(key for key in runs if key not in wanted)):
            yield from differences(wanted.get(key, _ABSENT), runs.get(key, _ABSENT), f"{place}, {key}")
    elif isinstance(wanted, list) and isinstance(runs, list):
        if len(wanted) != len(runs):
            yield f"{place}: {len(runs)} entries run, {len(wanted)} are rendered"
        for index, (one, other) in enumerate(zip(wanted, runs, strict=False)):
            name = one.get("name") if isinstance(one, dict) else None
            yield from differences(one, other, f"{place} {name or index}")
    elif runs != _REDACTED and _canonical(wanted) != _canonical(runs):
        yield f"{place}: {_shown(runs)} runs, {_shown(wanted)} is rendered"


def _canonical(value: Any) -> Any:
    """Protobuf writes one value in several ways, and leaves out what is the default."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return float(value[:-1])
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return value


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, dict | list):
        return "a value of parts"
    return repr(value)[:_SHOWN]
