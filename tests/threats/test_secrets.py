"""Known secrets go through the whole system in every way; then all that it wrote is searched for them."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import jwt
import pytest

from extproc.sandbox.issuer import ISSUER
from extproc.sandbox.system import Sandbox
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.registry_client import RegistryClient
from tests.support.tokens_in_logs import FOUND, look
from tests.threats.secret_traffic import (
    NAME,
    Tokens,
    command,
    registry_secrets,
    stored,
    through_envoy,
    to_the_admin_server,
    to_the_workers,
    where_secret,
    with_faults,
)
from tests.threats.sweep import forms, leaks, token_forms

pytestmark = pytest.mark.e2e


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that wants a password."""
    password = secrets.token_urlsafe(32)
    with RedisServer(tmp_path / "guarded", "--requirepass", password, port=free_port()) as server:
        server.password = password
        yield server


async def test_threat_no_secret_is_written_anywhere(
    tmp_path: Path, guarded_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = secrets.token_urlsafe(32)
    password_file = tmp_path / "password"
    password_file.write_text(wrong)
    for signal in ("TRACES", "METRICS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "console,otlp")
    store = f"redis://:{guarded_redis.password}@127.0.0.1:{guarded_redis.port}/0"
    async with OtlpReceiver() as collector:
        telemetry = {"trace_ratio": 1.0, "log_level": "debug"}
        telemetry |= {"otlp_endpoint": f"http://127.0.0.1:{collector.grpc_port}"}
        settings = {
            "telemetry": telemetry,
            "store": {"url": store},
            "service_account": {"renew": True},
            "envoy": {"per_try_timeout": 0.5},
        }
        async with Sandbox(tmp_path / "sandbox", workers=2, settings=settings) as sandbox:
            where, tokens = sandbox.describe(), Tokens(sandbox.sites.signing.private_key)
            async with RegistryClient(where["registry_url"], where["auth_url"]) as admin:
                digest = str(await admin.push(NAME, "latest", "1", b"layer"))
            await with_faults(sandbox, guarded_redis, tokens, digest)
            await through_envoy(sandbox, tokens, digest)
            await to_the_workers(sandbox, tokens)
            await to_the_admin_server(sandbox, tokens, wrong)
            wrongly = {"GEO_EXTPROC_SERVICE_ACCOUNT__PASSWORD_FILE": str(password_file)}
            locked_out = {"GEO_EXTPROC_STORE__URL": store.replace(guarded_redis.password, wrong)}
            commands = {
                "reconcile": asyncio.to_thread(command, sandbox, "reconcile", NAME),
                "wrong password": asyncio.to_thread(command, sandbox, "reconcile", NAME, **wrongly),
                "locked out": asyncio.to_thread(command, sandbox, "check-config", **locked_out),
                "status": asyncio.to_thread(command, sandbox, "status"),
                "doctor": asyncio.to_thread(command, sandbox, "doctor"),
            }
            said = dict(zip(commands, await asyncio.gather(*commands.values()), strict=True))
            async with aiohttp.ClientSession() as session:
                pages = [f"{where['admin_url']}/{page}" for page in ("metrics", "status", f"status/{NAME}", "readyz")]
                for place in (f"{where['envoy_admin_url']}/stats", *pages):
                    async with session.get(place) as answer:
                        said[place] = await answer.read()
            places = {"redis": await stored(store), **said}
            await sandbox.stop("envoy")
            await sandbox.stop("extproc")  # what is left of spans and metrics is written now
            for part in ("extproc", "envoy"):
                places[f"log of {part}"] = sandbox.workspace.log(part).read_bytes()
            places["access log"] = sandbox.edge.access_log_file.read_bytes()
            known = {form for token in tokens.made for form in token_forms(token)}
            for secret in (wrong, guarded_redis.password, where_secret(sandbox), *registry_secrets(sandbox)):
                known |= forms(secret)
            known |= forms(f":{guarded_redis.password}") | forms("admin:admin") | forms(f"admin:{wrong}")
        places["spans"] = b"".join(each.SerializeToString() for each in collector.traces)
        places["metrics"] = b"".join(each.SerializeToString() for each in collector.metrics)
        span_names = {span.name for span in collector.spans()}
    # All of it was at work.
    log = places["log of extproc"]
    for written in (b"geo_extproc.decisions", b"stream refused", b"notification refused", b"store unavailable"):
        assert written in log, written
    assert places["access log"].count(b"\n") > 150
    assert NAME.encode() in places["redis"]
    assert b"service account 'admin'" in said["wrong password"]
    assert b"geo_extproc_decisions_total" in said[pages[0]]
    assert b"good" not in said["locked out"]
    assert span_names >= {"envoy.service.ext_proc.v3.ExternalProcessor/Process", "geo_extproc.observe", "decide"}
    assert {"geo_extproc.decisions", "geo_extproc.tokens"} <= collector.metric_names()
    assert leaks(places, known) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("request with {token}", id="whole"),
        pytest.param("request with {start}…", id="beginning"),
        pytest.param('"{signature}"', id="signature"),
        pytest.param("{cut}", id="part of the signature"),
        pytest.param("Basic {basic}", id="Basic"),
        pytest.param("Basic {password}", id="the password in Basic, whoever's it is"),
        pytest.param("redis://:{quoted}@host", id="in a URL"),
    ],
)
def test_the_sweep_finds_what_is_there(line: str) -> None:
    token = jwt.encode({"iss": ISSUER}, "k" * 64, algorithm="HS512")
    signature = token.rpartition(".")[2]
    password = "a/long@password:with=more"
    text = line.format(
        token=token,
        start=token[:20],
        signature=signature,
        cut=signature[:20],
        basic=base64.b64encode(f"admin:{password}".encode()).decode(),
        password=base64.b64encode(f"x:{password}".encode()).decode(),
        quoted=quote(password, safe=""),
    )
    assert leaks({"log": text.encode()}, token_forms(token) | forms(password))
    assert leaks({"log": b"a line without, key, signed"}, token_forms(token) | forms(password)) == []


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_the_sweep_finds_a_secret_in_base64_wherever_it_begins(before: str, after: str) -> None:
    text = base64.b64encode(f"{before}a-long-password{after}".encode())
    assert leaks({"log": b"Basic " + text}, forms("a-long-password"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param("{token}", True, id="a token"),
        pytest.param("Authorization: Bearer 0123456789abcdef", True, id="an opaque one"),
        pytest.param('Bearer realm="https://issuer/",service="registry"', False, id="a challenge"),
        pytest.param("eyJhbGciOiJSUzI1NiJ9", False, id="a header alone may be any JSON"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_the_look_at_every_log_finds_what_is_there(tmp_path: Path, line: str, found: bool) -> None:
    token = jwt.encode({"iss": ISSUER}, "k" * 64, algorithm="HS512")
    (tmp_path / "log").write_text(f"before {line.format(token=token)} after")
    look([tmp_path / "log", tmp_path / "none"])
    assert bool(FOUND) is found
    FOUND.clear()
