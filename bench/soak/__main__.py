"""An hour at full load on the fast lane, with trouble: exit 0 when the processor's memory stays flat.

make soak            SOAK_SECONDS=3600, build/soak.json
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.soak.run import Soaked, soaked
from bench.soak.verdict import Trend, flat, trend

_BUILD: Final = Path(__file__).parents[2] / "build"
_SHARE: Final = 0.03
"""Of its level, that a figure may have grown by from the warm-up to the end."""
_NOISE: Final = {"resident": 1 << 20, "private": 1 << 20, "descriptors": 2.0, "threads": 0.5}
"""What is no growth, by figure."""


def main() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "3600"))
    # So that all that was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="geo-soak-") as folder:
        found = asyncio.run(soaked(Path(folder), seconds, lambda line: print(line, file=sys.stderr, flush=True)))
    trends = {name: trend([(at, float(getattr(sample, name))) for at, sample in found.samples]) for name in _NOISE}
    _BUILD.mkdir(exist_ok=True)
    (_BUILD / "soak.json").write_text(json.dumps(_document(found, trends, seconds), indent=2) + "\n")
    good = True
    for name, seen in trends.items():
        stays = flat(seen, share=_SHARE, at_least=_NOISE[name])
        good = good and stays
        print(f"{name}: {seen.level:,.0f}, grew by {seen.growth:,.0f}: {'flat' if stays else 'NOT flat'}")
    print(f"{found.requests:,} requests, {found.refused:,} refused, {found.broken} without an answer")
    sys.exit(0 if good and found.requests and not found.broken else 1)


def _document(found: Soaked, trends: dict[str, Trend], seconds: float) -> dict[str, object]:
    return {
        "seconds": seconds,
        "requests": found.requests,
        "refused": found.refused,
        "broken": found.broken,
        "trends": {name: asdict(seen) for name, seen in trends.items()},
        "worker": [{"at": at, **asdict(sample)} for at, sample in found.samples],
        "envoy": [{"at": at, **asdict(sample)} for at, sample in found.envoy],
    }


if __name__ == "__main__":
    main()
