"""Nothing that a client, a registry or an event names is ever connected to."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from tests.auth.issuer import ISSUER, claims, public_pem, token, verification_key, written
from tests.support.heads import EVERY_TYPE, INDEX
from tests.support.messages import PRIMARY, Reply, request_head, response_head
from tests.support.program import Program
from tests.support.registry_client import digest_of

METHOD: Final = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
DIGEST: Final = digest_of(b"x")
SECRET: Final = "a-secret-of-notifications"
LATER: Final = 4_000_000_000


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """Listens; whoever connects waits in its queue and is seen there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def caught(trap: socket.socket) -> bool:
    try:
        trap.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    written(tmp_path / "keys", public_pem("rsa"))
    (tmp_path / "secret").write_text(SECRET)
    auth = (
        f'auth.mode = "token"\nauth.realm = "http://127.0.0.1:9/jwt/auth"\nauth.service = "container_registry"\n'
        f'auth.issuer = "{ISSUER}"\nauth.keys = ["keys"]\n'
    )
    with Program(tmp_path, 'notifications.secret_file = "secret"\n', auth=auth) as running:
        running.ready()
        yield running


def notified(program: Program, site: str, url: str) -> int:
    """Posts one event of a push whose every URL is this one; the status."""
    event = {
        **{"id": "1", "timestamp": "2026-01-01T00:00:00Z", "action": "push", "actor": {"name": url}},
        "target": {"mediaType": INDEX, "digest": DIGEST, "repository": "a/b", "tag": "v1", "url": url},
        "request": {"addr": url, "host": url.removeprefix("http://"), "method": "PUT"},
        "source": {"addr": url.removeprefix("http://"), "instanceID": url},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{program.admin_port}/notifications/{site}",
        json.dumps({"events": [event]}).encode(),
        {"Authorization": SECRET, "Content-Type": "application/vnd.docker.distribution.events.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return int(answer.status)


async def talk(program: Program, *messages: bytes) -> list[Reply]:
    (path,) = program.run.glob("*.sock")
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        call: Any = channel.stream_stream(METHOD)()
        replies = []
        for message in messages:
            await call.write(message)
            replies.append(Reply.of(await asyncio.wait_for(call.read(), 30)))
        call.cancel()
        return replies


def test_threat_no_url_of_an_event_is_fetched(program: Program, trap: socket.socket) -> None:
    url = f"http://127.0.0.1:{trap.getsockname()[1]}/v2/a/b/manifests/{DIGEST}"
    for site in ("primary", "secondary"):
        assert notified(program, site, url) == 200
    assert not caught(trap)
    with socket.create_connection(trap.getsockname()):
        assert caught(trap), "the trap must work"


async def test_threat_no_url_of_a_token_or_answer_is_fetched(program: Program, trap: socket.socket) -> None:
    """Neither keys from `jku` and `x5u`, nor what `Location` says, nor the realm that a request would like."""
    url = f"http://127.0.0.1:{trap.getsockname()[1]}/keys"
    own = verification_key("rsa").ids()[0]
    good = token(claims(exp=LATER, nbf=0, iat=0), kid=own, jku=url, x5u=url)
    for kid in (own, url, "unknown"):
        forged = token(
            claims(exp=LATER, nbf=0, iat=0, iss=url), kind="other", kid=kid, jku=url, x5u=url, jwk={"x": url}
        )
        reason = "token-invalid" if kid == own else "token-unverifiable"
        (reply,) = await talk(
            program,
            request_head("GET", "/v2/a/b/tags/list", ("authorization", f"Bearer {forged}"), (":authority", url)),
        )
        assert reply.set_headers["x-geo-reason"] == reason
        if reason == "token-invalid":
            assert 'realm="http://127.0.0.1:9/jwt/auth"' in reply.set_headers["www-authenticate"]
    head = request_head(
        "GET", "/v2/a/b/manifests/latest", ("authorization", f"Bearer {good}"), ("accept", EVERY_TYPE[0])
    )
    for status in (200, 301, 307, 401):
        answer = response_head(
            status,
            ("location", url),
            ("www-authenticate", f'Bearer realm="{url}"'),
            ("docker-content-digest", DIGEST),
            ("content-type", INDEX),
            site=PRIMARY,
        )
        asked, answered = await talk(program, head, answer)
        assert (asked.observes, answered.kind) == (True, "response_headers")
    assert not caught(trap)
