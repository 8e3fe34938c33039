"""Nothing that anybody could log in with is in anything that is emitted: log, access log, spans, metrics, pages."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.parse
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from extproc.sandbox.certificates import signing_pair
from extproc.sandbox.edge import merged, toml
from extproc.sandbox.system import Sandbox
from tests.faults.clock import token_of
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.ports import free_port
from tests.support.program import Program
from tests.support.swap import swap

pytestmark = pytest.mark.e2e

PASSWORDS = {
    "readers": "admin-page-secret-5171",
    "wrong": "a-wrong-notification-secret-77",
    "redis": "redis-pass-9931",
}
NAME = "secret/app"


def forms(secret: str) -> set[str]:
    """As it is, and as it would be written elsewhere."""
    raw = secret.encode()
    encoded = {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {secret, urllib.parse.quote(secret, safe=""), *encoded}


def found(text: str, secrets: dict[str, str]) -> list[str]:
    return [f"{name} as {form}" for name, secret in secrets.items() for form in forms(secret) if form in text]


def test_what_is_looked_for_would_be_found() -> None:
    token = "eyJhbGciOi.J9.sig+/="
    for emitted in (f'{{"authorization": "Bearer {token}"}}', f"?token={urllib.parse.quote(token, safe='')}"):
        assert found(emitted, {"token": token})
    basic = base64.b64encode(b"pass-of-somebody").decode()
    assert found(f"Basic {basic}", {"password": "pass-of-somebody"})


async def test_whatever_is_sent_nothing_of_it_is_emitted(tmp_path: Path) -> None:
    secret_file = tmp_path / "readers"
    secret_file.write_text(PASSWORDS["readers"])
    async with OtlpReceiver() as receiver:
        telemetry = {
            "exporter": "otlp",
            "otlp_endpoint": f"http://127.0.0.1:{receiver.grpc_port}",
            "trace_ratio": 1.0,
            "log_level": "debug",
        }
        settings: dict[str, Any] = {"telemetry": telemetry, "admin": {"secret_file": str(secret_file)}}
        async with Sandbox(workers=2, settings=settings) as sandbox:
            secrets = await sent(sandbox)
            text = await emitted(sandbox, receiver)
    assert len(text) > 20_000, "something was emitted"
    assert NAME in text, "what happened is told"
    assert found(text, secrets | PASSWORDS) == []


async def sent(sandbox: Sandbox) -> dict[str, str]:
    """Requests with each kind of credential, in each place where one may stand; what is to be found nowhere."""
    where = sandbox.describe()
    key = sandbox.sites.signing.private_key
    other = signing_pair(sandbox.workspace.directory, "other").private_key
    good = token_of(key, NAME, 0)
    tokens = {
        "good": good,
        "expired": token_of(key, NAME, -4000),
        "of an unknown key": token_of(other, NAME, 0),
        "broken": good[:-9] + "AAAAAAAAA",
        "no token": "not.a.token-at-all-3141",
    }
    told = (sandbox.workspace.directory / "notifications.secret").read_text().split()[-1]
    async with aiohttp.ClientSession() as client:

        async def send(method: str, url: str, authorization: str, body: bytes | None = None) -> int:
            async with client.request(method, url, headers={"Authorization": authorization}, data=body) as answer:
                return answer.status

        registry, admin = where["registry_url"], where["admin_url"]
        for token in tokens.values():
            for method, path in (
                ("GET", f"/v2/{NAME}/manifests/latest"),
                ("HEAD", f"/v2/{NAME}/blobs/sha256:{'1' * 64}"),
                ("POST", f"/v2/{NAME}/blobs/uploads/"),
                ("DELETE", f"/v2/{NAME}/manifests/sha256:{'2' * 64}"),
                ("GET", f"/v2/{NAME}/tags/list?token={token}"),
            ):
                await send(method, registry + path, f"Bearer {token}")
            await send("GET", f"{registry}/v2/", f"Basic {token}")
        for secret in (told, PASSWORDS["wrong"]):
            await send("POST", f"{admin}/notifications/primary", f"Bearer {secret}", b"{broken " + secret.encode())
        basic = base64.b64encode(f"me:{PASSWORDS['readers']}".encode()).decode()
        assert await send("GET", f"{admin}/status", f"Basic {basic}") == 200
        assert await send("GET", f"{admin}/status", "Bearer wrong-again-2718") == 401
    return {**tokens, "notifications": told, "wrong again": "wrong-again-2718"}


async def emitted(sandbox: Sandbox, receiver: OtlpReceiver) -> str:
    """All of it, as text. Ends the processor, so that its last spans come."""
    texts = []
    where = sandbox.describe()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {PASSWORDS['readers']}"}) as client:
        for path in ("/", "/metrics", "/status", f"/names/{NAME}", "/readyz"):
            async with client.get(where["admin_url"] + path) as answer:
                texts.append(await answer.text())
        for path in ("/stats", "/config_dump"):
            async with client.get(where["envoy_admin_url"] + path) as answer:
                texts.append(await answer.text())
    # What a broken file has in it is not told either.
    swap(sandbox.edge.config_file, toml(merged(sandbox.edge.settings, {"nonsense": PASSWORDS})).encode())
    await until_logged(sandbox, "configuration")
    await sandbox.stop("extproc")
    await receiver.until_all(lambda there: any(NAME in str(span) for span in there.spans()))
    texts += [str(each) for each in (*receiver.traces, *receiver.metrics)]
    texts.append(sandbox.edge.access_log_file.read_text())
    texts.append(sandbox.workspace.log("extproc").read_text())
    return "\n".join(texts)


async def until_logged(sandbox: Sandbox, word: str) -> None:
    async with asyncio.timeout(30):
        while word not in sandbox.workspace.log("extproc").read_text():  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.05)


def test_a_password_of_the_store_is_not_in_the_log(tmp_path: Path) -> None:
    """Nor in what ends a start."""
    url = f"redis://user:{PASSWORDS['redis']}@127.0.0.1:{free_port()}/0"
    with Program(tmp_path, f'store.url = "{url}"\n') as program:
        program.ready(store="degraded")
    assert "store unavailable" in program.errors
    assert found(program.errors, PASSWORDS) == []
    with Program(
        tmp_path, f'store.url = "{url}&{json.dumps("x")[1:-1]}"\nstore.unknown = "{PASSWORDS["redis"]}"\n'
    ) as broken:
        assert broken.ended() == 2
    assert found(broken.errors, PASSWORDS) == []
