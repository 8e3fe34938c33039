"""A worker process's entry: `python -m extproc.worker`, started by the supervisor only.

Its standard input: its orders, one line of JSON; then a line of them whenever live settings have changed. Its end:
the supervisor is gone, however it ended.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Final

import uvloop

from extproc.app import serve_worker
from extproc.auth.keys import KeysInvalid
from extproc.evidence.store import StoreUnavailable
from extproc.live.orders import Orders
from extproc.live.signals import ignore_requests
from extproc.settings import SettingsError
from extproc.supervisor import FAILED, READY
from extproc.transport.grpcio import ListenError

_LONGEST: Final = 2**24
"""Bytes of one line: a list of names to include may be long."""


async def _run(number: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    orders = _orders(reader)
    first = await anext(orders, None)
    if first is not None:  # else the supervisor was gone at once
        await serve_worker(first, number, _tell_ready, orders)


async def _orders(reader: asyncio.StreamReader) -> AsyncIterator[Orders]:
    while line := await reader.readline():
        yield Orders.taken(line)


def _tell_ready() -> None:
    os.write(sys.stdout.fileno(), READY)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m extproc.worker", description=__doc__)
    parser.add_argument("--number", type=int, required=True)
    arguments = parser.parse_args()
    ignore_requests()  # they are for the supervisor
    try:
        uvloop.run(_run(arguments.number))
    except (SettingsError, KeysInvalid, ListenError, StoreUnavailable) as error:
        # The supervisor shows it: N workers fail alike, and one sentence is enough.
        os.write(sys.stdout.fileno(), FAILED + " ".join(str(error).split()).encode() + b"\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
