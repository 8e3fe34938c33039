"""The rules with every duration shorter: minutes a thirtieth, so `[15m]` is half a minute, `for: 2m` four seconds;
hours even less, so `[2h]` is a minute.

Nothing else of them changes, except the bound of replication lag, for nobody waits a quarter of an hour.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from tests.dashboards.files import ALERTS

SECONDS: Final = {"m": 2, "h": 30}
"""That a minute and an hour become."""
_DURATION: Final = re.compile(r"(\d+)([mh])")
_RANGE: Final = re.compile(r"\[(\w+)\]")
_LAG: Final = ("> 900", "> 1")


def shortened(folder: Path) -> Path:
    """The file, for a Prometheus that scrapes every second."""
    document = yaml.safe_load(ALERTS.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            _shorten(rule)
    file = folder / "alerts.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def _shorten(rule: dict[str, Any]) -> None:
    rule["expr"] = _RANGE.sub(lambda found: f"[{_short(found[1])}]", rule["expr"])
    rule["for"] = _short(rule["for"])
    if rule["alert"] == "GeoReplicationSlow":
        assert _LAG[0] in rule["expr"]
        rule["expr"] = rule["expr"].replace(*_LAG)


def _short(duration: str) -> str:
    found = _DURATION.fullmatch(duration)
    assert found, duration
    return f"{int(found[1]) * SECONDS[found[2]]}s"
