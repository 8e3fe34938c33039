"""Every secret that a system has, sent through it in every way: right, wrong, broken, and with parts away."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from redis.asyncio import Redis

from extproc.sandbox.certificates import libtrust_kid
from extproc.sandbox.issuer import ISSUER, SERVICE
from extproc.sandbox.system import Sandbox
from extproc.transport.service import METHOD
from tests.support.heads import EVERY_TYPE
from tests.support.messages import request_head
from tests.support.redis_server import RedisServer
from tests.support.registry_client import digest_of
from tests.threats.wire import Wire

NAME: Final = "a/secrets"
PULL: Final = [{"type": "repository", "name": NAME, "actions": ["pull"]}]
ALL: Final = [{"type": "repository", "name": NAME, "actions": ["*"]}]


class Tokens:
    """Signs tokens with the sandbox's own key, and remembers each that was made."""

    def __init__(self, file: Path) -> None:
        key = load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key
        self.made: list[str] = []

    def make(self, access: object, *, header: Mapping[str, Any] | None = None, **claims: object) -> str:
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
            "access": access,
            **claims,
        }
        head = {"kid": libtrust_kid(self._key.public_key()), **(header or {})}
        body["jti"] = secrets.token_hex(16)
        self.made.append(jwt.encode(body, self._key, algorithm="RS256", headers=head))
        return self.made[-1]


def heads(tokens: Tokens) -> list[str]:
    """Authorization that is right, wrong in each way, and badly written."""
    good = tokens.make(PULL)
    return [
        f"Bearer {good}",
        f"Bearer {tokens.make([])}",
        f"Bearer {tokens.make(PULL, exp=5)}",
        f"Bearer {tokens.make(PULL, iss='other')}",
        f"Bearer {tokens.make(PULL, aud='other')}",
        f"Bearer {tokens.make(PULL, header={'kid': 'unknown'})}",
        f"Bearer {tokens.make(PULL, header={'crit': ['x']})}",
        f"Bearer {tokens.make('no list')}",
        f"Bearer {good}x",
        f"Bearer  {good}",
        f"Bearer {good}, Bearer {good}",
        f"bearer {good[:-4]}",
        f"Token {good}",
        good,
        "Basic " + base64.b64encode(f"user:{good}".encode()).decode(),
        f"Bearer {good}é",
    ]


def requests(tokens: Tokens, digest: str) -> list[tuple[str, bytes]]:
    spare = tokens.make(PULL)
    return [
        ("GET", f"/v2/{NAME}/manifests/latest".encode()),
        ("HEAD", f"/v2/{NAME}/manifests/{digest}".encode()),
        ("GET", f"/v2/{NAME}/blobs/{digest_of(b'{}')}".encode()),
        ("GET", f"/v2/{NAME}/tags/list?access_token={spare}".encode()),
        ("GET", b"/v2/_catalog"),
        ("GET", b"/v2/"),
        ("GET", b"/v2/%zz/manifests/;"),
        ("PUT", f"/v2/{NAME}/manifests/a;b?token={spare}".encode()),
        ("PUT", f"/v2/{NAME}/manifests/v1".encode()),
        ("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}&from=other/name".encode()),
        ("DELETE", f"/v2/{NAME}/manifests/{digest_of(b'none')}".encode()),
        ("BREW", b"/v2/"),
    ]


async def through_envoy(sandbox: Sandbox, tokens: Tokens, digest: str) -> None:
    with Wire(sandbox.edge.registry_url) as wire:
        for authorization in heads(tokens):
            for method, target in requests(tokens, digest):
                body = b"{}" if method in ("PUT", "POST") else None
                headers = {"Authorization": authorization, "Accept": EVERY_TYPE[0]}
                await asyncio.to_thread(wire.ask, method, target, headers, body)
        good = tokens.made[0]
        for odd in (f"Bearer {good}" + "x" * 55_000, f"Bearer {good}" + "x" * 70_000, f"Bearer {good}\x80\xff"):
            await asyncio.to_thread(wire.ask, "GET", b"/v2/", {"Authorization": odd})


async def to_the_workers(sandbox: Sandbox, tokens: Tokens) -> None:
    """Broken messages that hold a token, and heads that Envoy would not send."""
    bearer = ("authorization", f"Bearer {tokens.make(PULL)}")
    head = request_head("GET", f"/v2/{NAME}/manifests/latest", bearer)
    messages = [head[:-9], head + b"\xff\xff", b"\xff" + head, request_head("GET", "/x", bearer, bearer)]
    messages += [bearer[1].encode(), request_head(bearer[1], bearer[1], bearer)]
    sockets = sorted(sandbox.workspace.sockets.glob("*.sock"))
    assert len(sockets) == 2
    for socket in sockets:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            for message in messages:
                call: Any = channel.stream_stream(METHOD)()
                try:
                    await call.write(message)
                    await call.read()
                    await call.write(message)  # a second head
                    await call.read()
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    continue
                finally:
                    call.cancel()


async def to_the_admin_server(sandbox: Sandbox, tokens: Tokens, wrong: str) -> None:
    right, token = sandbox.sites.notification_authorization, tokens.make(ALL)
    event = {"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push", "actor": {"name": token}}
    event |= {"target": {"repository": NAME, "tag": "v1", "url": f"http://x/{token}"}, "request": {"host": token}}
    bodies = [json.dumps({"events": [event]}), json.dumps({"events": [{**event, "target": 5}]}), token, '{"' + token]
    kinds = ("application/vnd.docker.distribution.events.v1+json", f"text/{token[:20]}")
    async with aiohttp.ClientSession(sandbox.edge.admin_url) as session:
        for authorization in (right, f"Bearer {wrong}", f"Basic {wrong}", wrong, f"{right}x"):
            for site in ("primary", "secondary", "third"):
                for body in bodies:
                    for kind in kinds:
                        headers = {"Authorization": authorization, "Content-Type": kind}
                        async with session.post(f"/notifications/{site}", data=body, headers=headers) as answer:
                            await answer.read()
        for method, path in (("PUT", f"/v2/{NAME}/manifests/v1"), ("DELETE", "/v2/%zz/;"), ("GET", "/status")):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.request(method, path, headers=headers) as answer:
                await answer.read()
    with Wire(sandbox.edge.admin_url) as wire:
        for target in (f"/{token}\0".encode(), f"bad {token}".encode(), b"/v2/" + b"x" * 70_000):
            await asyncio.to_thread(
                wire.ask, "PUT", target, {"Authorization": f"Bearer {token}", "Content-Length": "x"}
            )


async def with_faults(sandbox: Sandbox, redis: RedisServer, tokens: Tokens, digest: str) -> None:
    """Requests while a part is away, and a write while there is no worker."""

    def ask_all(first: int, last: int) -> None:
        with Wire(sandbox.edge.registry_url) as wire:
            for method, target in requests(tokens, digest)[first:last]:
                given = {"Authorization": f"Bearer {tokens.make(PULL)}", "Accept": EVERY_TYPE[0]}
                wire.ask(method, target, given)

    redis.pause()
    try:
        # Enough for the breaker of each worker.
        for _ in range(10):
            await asyncio.to_thread(ask_all, 0, 3)
    finally:
        redis.resume()
    sandbox.pause("secondary")
    try:
        # One that needs the secondary is enough: each waits for it as long as Envoy lets it.
        await asyncio.to_thread(ask_all, 2, 3)
    finally:
        sandbox.resume("secondary")
    for pid in sandbox.describe()["pids"]["extproc"][1:]:
        os.kill(pid, signal.SIGKILL)
    with Wire(sandbox.edge.registry_url) as wire:
        given = {"Authorization": f"Bearer {tokens.make(ALL)}", "Content-Type": "application/json"}
        await asyncio.to_thread(wire.ask, "PUT", f"/v2/{NAME}/manifests/v1".encode(), given, b"{}")
        # The next worker is there when a request is decided again. Bounded by the test's own timeout.
        while not (await asyncio.to_thread(wire.ask, "GET", b"/v2/")).reason:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def command(sandbox: Sandbox, *words: str, **environment: str) -> bytes:
    """What a command of geo-extproc writes."""
    ran = subprocess.run(
        [sys.executable, "-m", "extproc", *words, "--config", str(sandbox.edge.config_file)],
        env={**sandbox.workspace.environment, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return ran.stdout + ran.stderr


async def stored(url: str) -> bytes:
    """Every key of Redis and all that it holds."""
    found: list[bytes] = []
    redis: Any
    async with Redis.from_url(url) as redis:
        async for key in redis.scan_iter():
            if await redis.type(key) == b"hash":
                fields = await redis.hgetall(key)
                found += [key, *fields.keys(), *fields.values()]
            else:
                found += [key, await redis.get(key)]
    return b"\n".join(found)


def where_secret(sandbox: Sandbox) -> str:
    return sandbox.sites.notification_authorization.removeprefix("Bearer ")


def registry_secrets(sandbox: Sandbox) -> tuple[str, str]:
    """They sign the state of uploads."""
    return sandbox.sites.primary.secret, sandbox.sites.secondary.secret
