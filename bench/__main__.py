"""All of it in one run: exchanges, pulls and the store; build/bench.json, tables, and charts in build/bench/.

.venv/bin/python -m bench [--only exchange pulls store] [--rounds 7] [--seconds 2] [--no-charts]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench import growth
from bench.exchange import measure as exchanges
from bench.pulls import measure as pulling
from bench.report import show

_PARTS: Final = ("exchange", "pulls", "store")
_BUILD: Final = Path(__file__).parents[1] / "build"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measured(chosen: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"cores": os.cpu_count()}
    if "exchange" in chosen.only:
        with tempfile.TemporaryDirectory(prefix="geo-bench-") as folder:
            found |= exchanges.run(Path(folder), rounds=chosen.rounds, seconds=chosen.seconds, say=say)
        found["decisions_per_core_s"] = 1e6 / found["cpu_us"]["fastlane.digest"]
    if "pulls" in chosen.only:
        # In memory: the disk is not what is measured.
        with tempfile.TemporaryDirectory(prefix="geo-pulls-", dir="/dev/shm") as folder:
            found |= pulling.summary(
                asyncio.run(
                    pulling.measured(
                        Path(folder), rounds=9, slow_rounds=3, layer_bytes=8 << 20, transport="fastlane", say=say
                    )
                )
            )
    if "store" in chosen.only:
        found |= growth.summary(asyncio.run(growth.measured(growth.SIZES, per_name=1000, lookups=5000, say=say)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--rounds", type=int, default=7, help="of the exchange")
    parser.add_argument("--seconds", type=float, default=2, help="of each load")
    parser.add_argument("--no-charts", action="store_true", help="without matplotlib")
    chosen = parser.parse_args()
    found = measured(chosen)
    _BUILD.mkdir(exist_ok=True)
    (_BUILD / "bench.json").write_text(json.dumps(found, indent=2) + "\n")
    show(found)
    if not chosen.no_charts:
        from bench.charts import draw  # noqa: PLC0415 - the extra `bench`

        for file in draw(found, _BUILD / "bench"):
            say(f"drawn: {file.relative_to(_BUILD.parent)}")


if __name__ == "__main__":
    main()
