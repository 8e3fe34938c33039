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

import uvloop

from extproc.app import serve_worker
from extproc.auth.keys import KeysInvalid
from extproc.evidence.store import StoreUnavailable
from extproc.live.asking import LONGEST, Question, told
from extproc.live.orders import Orders
from extproc.live.signals import ignore_requests
from extproc.settings import SettingsError
from extproc.supervisor import FAILED, READY
from extproc.transport.listening import ListenError


async def _run(number: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    told_to = _told(reader)
    first = await anext(told_to, None)
    if not isinstance(first, Orders):
        return  # the supervisor was gone at once
    # The loop closes what it is given; main() may still have something to say.
    answers, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(os.dup(sys.stdout.fileno()), "wb"))

    def answer(line: bytes) -> None:
        if answers.get_write_buffer_size() == 0:
            answers.write(line)

    await serve_worker(first, number, lambda: answers.write(READY), told_to, answer)


async def _told(reader: asyncio.StreamReader) -> AsyncIterator[Orders | Question]:
    while line := await reader.readline():
        yield told(line)


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
