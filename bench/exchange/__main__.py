"""python -m bench.exchange [--rounds 7] [--seconds 2]: the exchange alone, as JSON. `make bench` runs all."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench.exchange.measure import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="geo-bench-") as folder:
        found = run(
            Path(folder),
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
