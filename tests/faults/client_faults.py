"""Of clients: too many, too slow, gone in the middle. The others must not notice."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final
from urllib.parse import urlsplit

from tests.faults.fault import Fault
from tests.faults.load import LAYER, name_of
from tests.faults.rig import Rig
from tests.support.registry_client import MANIFEST, RegistryClient, digest_of

CROWD: Final = 500
SLOW: Final = 40
TORN: Final = 10
_TORN_NAME: Final = "load/torn"
_LARGE: Final = bytes(8 * 1024 * 1024)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(rig: Rig) -> Connection:
    where = urlsplit(rig.sandbox.edge.registry_url)
    return await asyncio.open_connection(where.hostname, where.port)


async def _token(rig: Rig, user: str, scope: str) -> str:
    async with RegistryClient(rig.sandbox.edge.registry_url, rig.sandbox.sites.auth_url, user) as client:
        return await client.token(scope)


async def _crowd(rig: Rig) -> None:
    """All have a connection of their own, and ask when all are there."""
    token = await _token(rig, "reader", f"repository:{name_of(0)}:pull")
    head = (
        f"GET /v2/{name_of(0)}/blobs/{digest_of(LAYER)} HTTP/1.1\r\nhost: registry\r\nauthorization: Bearer {token}"
    )
    everybody = await asyncio.gather(*(dial(rig) for _ in range(CROWD)))

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bool]:
        writer.write(f"{head}\r\nconnection: close\r\n\r\n".encode())
        try:
            answer, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        finally:
            writer.close()
        return answer.partition(b"\r\n")[0], body == LAYER

    answers = await asyncio.gather(*(one(*each) for each in everybody))
    assert set(answers) == {(b"HTTP/1.1 200 OK", True)}, set(answers)


async def slow_senders(rig: Rig) -> None:
    """Each sends a byte of its head now and then, until Envoy has had enough of it."""

    async def one() -> None:
        reader, writer = await dial(rig)
        try:
            writer.write(b"GET /v2/ HTTP/1.1\r\nhost: registry\r\nx-slow: ")
            while not reader.at_eof():
                writer.write(b"a")
                try:
                    async with asyncio.timeout(0.5):
                        await reader.read(4096)
                except TimeoutError:
                    continue
        except OSError:
            return  # it was reset: ended too
        finally:
            writer.close()

    for _ in range(SLOW):
        rig.senders.append(asyncio.create_task(one()))


def _vanish(writer: asyncio.StreamWriter) -> None:
    """Without a word: the peer gets a reset (socket(7))."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _vanishing(rig: Rig) -> None:
    for site in (rig.sites.primary, rig.sites.secondary):
        site.blob(_TORN_NAME, _LARGE)
    pull = await _token(rig, "reader", f"repository:{_TORN_NAME}:pull")
    push = await _token(rig, "admin", f"repository:{_TORN_NAME}:pull,push")

    async def while_reading() -> None:
        reader, writer = await dial(rig)
        head = f"GET /v2/{_TORN_NAME}/blobs/{digest_of(_LARGE)} HTTP/1.1\r\nhost: registry"
        writer.write(f"{head}\r\nauthorization: Bearer {pull}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await reader.readexactly(65536)
        _vanish(writer)

    async def while_writing(method: str, path: str, type_: str) -> None:
        _, writer = await dial(rig)
        head = f"{method} {path} HTTP/1.1\r\nhost: registry\r\nauthorization: Bearer {push}\r\ncontent-type: {type_}"
        writer.write(f"{head}\r\ncontent-length: 1000000\r\n\r\n".encode())
        writer.write(bytes(65536))
        await writer.drain()
        _vanish(writer)

    for _ in range(TORN):
        await while_reading()
        await while_writing("PUT", f"/v2/{_TORN_NAME}/manifests/latest", MANIFEST)
        async with rig.http.post(
            f"{rig.sandbox.edge.registry_url}/v2/{_TORN_NAME}/blobs/uploads/",
            headers={"Authorization": f"Bearer {push}"},
        ) as started:
            assert started.status == 202, await started.text()
            upload = urlsplit(started.headers["Location"])
        await while_writing("PATCH", f"{upload.path}?{upload.query}", "application/octet-stream")


CLIENT_FAULTS: Final = (
    Fault("40 slow senders", slow_senders),
    Fault(f"{CROWD} connections at once", _crowd),
    Fault("clients gone in the middle of a body", _vanishing),
)
