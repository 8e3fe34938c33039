"""How each part shows that it is ready."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp

from extproc.sandbox.ports import HOST
from extproc.sandbox.process import Probe


def answers(url: str, status: int, ca: Path | None = None) -> Probe:
    """A GET gives this status; for https, `ca` names the authority."""

    async def probe() -> bool:
        trust = ssl.create_default_context(cafile=str(ca)) if ca else True
        try:
            async with aiohttp.ClientSession() as session, session.get(url, ssl=trust) as response:
                return response.status == status
        except aiohttp.ClientError:
            return False

    return probe


def accepts(port: int) -> Probe:
    """It takes a TCP connection."""

    async def probe() -> bool:
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await writer.wait_closed()
        return True

    return probe


def pongs(port: int) -> Probe:
    """Redis answers PING, which it refuses while it still loads its data."""

    async def probe() -> bool:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        finally:
            writer.close()

    return probe
