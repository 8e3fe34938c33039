"""python -m bench.pulls [--rounds 9] [--slow-rounds 3] [--mib 8] [--transport fastlane]: the pulls alone, as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from bench.pulls.measure import measured, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slow-rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=8, help="of each of the ten layers")
    parser.add_argument("--transport", choices=("grpcio", "fastlane"), default="fastlane")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="geo-pulls-", dir="/dev/shm") as folder:
        found = asyncio.run(
            measured(
                Path(folder),
                rounds=arguments.rounds,
                slow_rounds=arguments.slow_rounds,
                layer_bytes=arguments.mib << 20,
                transport=arguments.transport,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    json.dump(summary(found), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
