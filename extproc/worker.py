"""A worker process's entry: `python -m extproc.worker`, started by the supervisor only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import uvloop

from extproc.app import serve_worker
from extproc.auth.keys import KeysInvalid
from extproc.evidence.store import StoreUnavailable
from extproc.settings import Settings, SettingsError
from extproc.supervisor import FAILED, READY
from extproc.transport.grpcio import ListenError


async def _run(config: Path, number: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # End of file on the pipe: the supervisor is gone, however it ended.
    await serve_worker(Settings.load(config), number, _tell_ready, asyncio.create_task(reader.read()))


def _tell_ready() -> None:
    os.write(sys.stdout.fileno(), READY)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m extproc.worker", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    arguments = parser.parse_args()
    try:
        uvloop.run(_run(arguments.config, arguments.number))
    except (SettingsError, KeysInvalid, ListenError, StoreUnavailable) as error:
        # The supervisor shows it: N workers fail alike, and one sentence is enough.
        os.write(sys.stdout.fileno(), FAILED + " ".join(str(error).split()).encode() + b"\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
