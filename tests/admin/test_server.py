"""The admin server over real sockets: raw requests, so that nobody tidies their paths."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from extproc.admin.server import AdminError, AdminServer, Health
from extproc.settings import Endpoint
from tests.support.ports import free_port


@dataclass
class Admin:
    """A server and what it was told."""

    health: Health = field(default_factory=lambda: Health(ready=True, store="ok", workers=2))
    taken: list[tuple[str, str]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    unreadable_ones: int = 0

    async def unreadable(self) -> None:
        self.unreadable_ones += 1

    async def take(self, method: str, path: str) -> None:
        self.taken.append((method, path))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = AdminServer(Endpoint(host="127.0.0.1", port=self.port), lambda: self.health, self)
        await server.start()
        try:
            yield
        finally:
            await server.stop()

    async def send(self, head: str, *, rest: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head.encode("latin-1") + b" HTTP/1.1\r\nhost: a\r\n" + (rest or b"\r\n"))
            status = int((await asyncio.wait_for(reader.readline(), 10)).split()[1])
            length = 0
            while line := (await reader.readline()).strip().lower():
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            return status, await reader.readexactly(0 if head.startswith("HEAD") else length)
        finally:
            writer.close()


async def test_livez() -> None:
    admin = Admin(Health(ready=False, store="degraded", workers=0))
    async with admin.serving():
        assert await admin.send("GET /livez") == (200, b'{"alive": true}\n')


@pytest.mark.parametrize(
    ("health", "status"),
    [
        pytest.param(Health(ready=True, store="ok", workers=2), 200, id="ready"),
        pytest.param(Health(ready=True, store="degraded", workers=1), 200, id="a store that is away"),
        pytest.param(Health(ready=False, store="ok", workers=0), 503, id="no worker, or draining"),
        pytest.param(
            Health(ready=True, store="ok", workers=1, configuration="broken, …", keys="stale: …"), 200, id="in words"
        ),
    ],
)
async def test_readyz(health: Health, status: int) -> None:
    admin = Admin()
    async with admin.serving():
        admin.health = health
        found, body = await admin.send("GET /readyz?verbose")
        assert found == status
        assert body.endswith(b"}\n")
        assert json.loads(body) == {
            "ready": health.ready,
            "store": health.store,
            "workers": health.workers,
            "mode": health.mode,
            "configuration": health.configuration,
            "keys": health.keys,
        }
        assert await admin.send("HEAD /readyz") == (status, b"")


@pytest.mark.parametrize(
    ("query", "workers", "status"),
    [
        pytest.param("exclude=keys", 1, 200, id="a worker serves, without a key"),
        pytest.param("exclude=keys&verbose", 2, 200, id="with more in the query"),
        pytest.param("exclude=keys", 0, 503, id="no worker yet"),
        pytest.param("verbose", 1, 503, id="nothing is left out"),
        pytest.param("exclude=store", 1, 400, id="what cannot be left out"),
        pytest.param("exclude=keys&exclude=store", 1, 400, id="one of two"),
    ],
)
async def test_readyz_without_keys(query: str, workers: int, status: int) -> None:
    admin = Admin()
    async with admin.serving():
        admin.health = Health(ready=False, store="ok", workers=workers, keys="unknown: …")
        found, body = await admin.send(f"GET /readyz?{query}")
        assert found == status
        if status == 400:
            error = json.loads(body)["error"]
            assert "store" in error
            assert "only keys" in error
        else:
            assert json.loads(body)["workers"] == workers


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v2/g/app/manifests/latest", id="plain"),
        pytest.param("/v2/g/app/manifests/latest?ns=a%2Fb&x", id="query"),
        pytest.param("/v2/g/%61pp%2Fx/manifests/a%20b", id="escaped"),
        pytest.param("/%76%32/g/app/manifests/latest", id="escaped root"),
        pytest.param("/v2/g/%2e%2e/../manifests//a", id="dots and doubles"),
        pytest.param("//v2/g/app/manifests/latest", id="like an authority"),
        pytest.param("/livez", id="the name of another page"),
        pytest.param("/", id="root"),
    ],
)
async def test_a_copy_is_taken_with_its_path_as_it_came(method: str, path: str) -> None:
    admin = Admin()
    async with admin.serving():
        assert await admin.send(f"{method} {path}") == (202, b"")
    assert admin.taken == [(method, path)]


async def test_a_copy_may_be_as_large_as_envoy_lets_it_be() -> None:
    admin = Admin()
    path = "/v2/g/app/manifests/latest?" + "q" * 50_000
    async with admin.serving():
        for head, rest in (
            ("PUT /v2/g/app/manifests/latest", b"x-large: " + b"a" * 50_000 + b"\r\n\r\n"),
            (f"DELETE {path}", b""),
        ):
            assert (await admin.send(head, rest=rest))[0] == 202
    assert admin.taken == [("PUT", "/v2/g/app/manifests/latest"), ("DELETE", path)]


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"content-length: 100000000000\r\n\r\nfirst bytes", id="a length"),
        pytest.param(b"transfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n", id="chunks"),
        pytest.param(b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n", id="none at all"),
    ],
)
async def test_a_copy_is_answered_before_its_body_has_come(rest: bytes) -> None:
    admin = Admin()
    async with admin.serving():
        status, _ = await admin.send("PUT /v2/g/app/manifests/latest", rest=rest)
        assert status in {100, 202}
        assert admin.taken == [("PUT", "/v2/g/app/manifests/latest")]


@pytest.mark.parametrize(
    "head", ["GET /", "GET /v2/", "POST /v2/g/app/blobs/uploads/", "PATCH /livez", "GET /metrics"]
)
async def test_anything_else_is_not_found(head: str) -> None:
    admin = Admin()
    async with admin.serving():
        assert (await admin.send(head))[0] == 404
    assert admin.taken == []


async def test_a_request_without_a_target_is_answered() -> None:
    admin = Admin()
    async with admin.serving():
        assert (await admin.send("CONNECT \n\r\n"))[0] == 404
    assert admin.taken == []


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1", "Address already in use", id="taken"),
        pytest.param("192.0.2.1", "Cannot assign requested address", id="not of this machine"),
        pytest.param("no.such.host.invalid", ".+", id="no such name"),
    ],
)
async def test_an_address_that_cannot_be_had(host: str, reason: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = AdminServer(Endpoint(host=host, port=port), lambda: Admin().health, Admin())
        fault = f"^cannot listen on admin.address {host}:{port}: {reason}; stop the program that has it or choose"
        with pytest.raises(AdminError, match=fault):
            await server.start()
        await server.stop()


async def test_stopping_what_never_started() -> None:
    await AdminServer(Endpoint(host="127.0.0.1", port=1), lambda: Health(True, "ok", 1), Admin()).stop()


@pytest.mark.parametrize(
    ("head", "rest", "told"),
    [
        pytest.param("PUT /v2/a/manifests/t", b"Sec-WebSocket-Key1: a\r\n\r\n", 1, id="Envoy lets it through"),
        pytest.param("PUT /v2/a/manifests/t", b"Authorization: Bearer s3cret\x01\r\n\r\n", 1, id="a secret"),
        pytest.param("PUT /v2/a/manifests/t", b"\r\ns3cret \x01\r\n", 1, id="a copy, and behind it what is not HTTP"),
        pytest.param("\x16\x03\x01", b"Authorization: Bearer s3cret\r\n\r\n", 0, id="not HTTP at all"),
    ],
)
async def test_what_cannot_be_read_may_have_been_a_copy_and_is_not_repeated(
    head: str, rest: bytes, told: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = Admin()
    async with admin.serving():
        status, body = await admin.send(head, rest=rest)
    assert (status, body) == (400, b"")
    assert admin.taken == []
    assert admin.unreadable_ones == told
    written = capsys.readouterr()
    assert "s3cret" not in caplog.text + written.out + written.err
    assert "cannot be read" in written.out + written.err
