"""Settings that cannot be used have secrets in them as often as good ones: no sentence about them repeats one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.support.program import SITES
from tests.support.redis_server import RedisServer
from tests.threats.sweep import forms, leaks

PASSWORD: Final = "open/sesame@correct:horse%battery"
QUOTED: Final = quote(PASSWORD, safe="")
TAKEN: Final = 'admin.address = "127.0.0.1:{port}"\nserver.socket_dir = "run"\n'
AUTH: Final = 'auth.mode = "passthrough"\n'
STORE_URL: Final = "GEO_EXTPROC_STORE__URL"


def wrote(folder: Path, command: str, text: str, **environment: str) -> tuple[int, bytes]:
    """The exit code of a command with these settings, and all that it says."""
    file = folder / "geo.toml"
    file.write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GEO_EXTPROC_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "extproc", command, "--config", str(file)],
        env={**kept, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that ends `serve` with code 1, once all the rest was found good."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield TAKEN.format(port=listening.getsockname()[1])


def known() -> set[bytes]:
    return forms(PASSWORD) | forms(QUOTED) | forms(f"user:{PASSWORD}")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(f'store.url = "redis://:{QUOTED}@host:none/0"\n', "store.url", id="a port that is none"),
        pytest.param(f'store.url = "redis://:{PASSWORD}@host:none/0"\n', "store.url", id="not quoted"),
        pytest.param(f'store.url = "riak://:{QUOTED}@host/0"\n', "store.url", id="an unknown scheme"),
        pytest.param(f'store.url = "redis://:{QUOTED}@host/0\n', "geo.toml", id="TOML that is broken there"),
        pytest.param(f'store.password = "{PASSWORD}"\n', "store.password", id="an unknown key"),
        pytest.param(f'store = "redis://:{QUOTED}@host/0"\n', "store", id="a value for a table"),
        pytest.param(
            f'notifications.secret_file = ["{PASSWORD}"]\n', "notifications.secret_file", id="of another type"
        ),
        pytest.param(
            f'telemetry.otlp_endpoint = "http://user:{PASSWORD}@collector:4317"\n',
            "telemetry.otlp_endpoint",
            id="a collector's URL",
        ),
        pytest.param(
            f'telemetry.otlp_endpoint = "http://user:{QUOTED}@collector:4317"\n',
            "telemetry.otlp_endpoint",
            id="a collector's URL, quoted",
        ),
    ],
)
def test_threat_no_sentence_about_settings_has_a_secret(tmp_path: Path, text: str, named: str) -> None:
    code, said = wrote(tmp_path, "serve", AUTH + text + SITES)
    assert (code, named.encode() in said) == (2, True), said
    assert leaks({"serve": said}, known()) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(
            f'auth.realm = "https://user:{QUOTED}@issuer/"\nauth.keys = ["no.pem"]\n', "auth", id="the realm"
        ),
        pytest.param(
            f'auth.realm = "https://issuer/"\nauth.keys_url = "https://user:{QUOTED}@issuer/jwks"\n',
            "keys_url",
            id="the keys' URL",
        ),
    ],
)
def test_threat_nor_one_about_the_issuer(tmp_path: Path, text: str, named: str) -> None:
    code, said = wrote(tmp_path, "check-config", text + SITES)
    assert (code, named.encode() in said) == (2, True), said
    assert leaks({"check-config": said}, known()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(STORE_URL, f"redis://:{QUOTED}@host:none/0", id="a value"),
        pytest.param("GEO_EXTPROC_STORE", f'{{"url": "redis://:{QUOTED}@host/0"', id="a table that is broken JSON"),
        pytest.param("GEO_EXTPROC_STORE__PASSWORD", PASSWORD, id="an unknown key"),
        pytest.param("GEO_EXTPROC_STORE_URL", f"redis://:{QUOTED}@host/0", id="misspelt"),
    ],
)
def test_threat_nor_one_about_the_environment(tmp_path: Path, name: str, value: str) -> None:
    code, said = wrote(tmp_path, "serve", AUTH + SITES, **{name: value})
    assert code == 2, said
    assert b"store" in said.lower()
    assert leaks({"serve": said}, known()) == []


@pytest.mark.parametrize(
    ("setting", "content", "command"),
    [
        pytest.param("service_account.password_file", f"{PASSWORD}\n{PASSWORD}\n", "serve", id="two passwords"),
        pytest.param("auth.keys", PASSWORD, "check-config", id="a password where a key belongs"),
    ],
)
def test_threat_nor_one_about_a_file(tmp_path: Path, taken: str, setting: str, content: str, command: str) -> None:
    (tmp_path / "secret").write_text(content)
    named = '["secret"]' if setting == "auth.keys" else '"secret"'
    text = 'auth.realm = "https://issuer/"\n' if setting == "auth.keys" else AUTH
    text += 'service_account.username = "user"\n' if setting.startswith("service") else ""
    text += taken
    code, said = wrote(tmp_path, command, f"{text}{setting} = {named}\n{SITES}")
    assert (code, b"/secret" in said) == (2, True), said
    assert leaks({command: said}, known()) == []


@pytest.mark.parametrize("password", [PASSWORD, f"{PASSWORD}\n{PASSWORD}"])
def test_threat_nor_one_about_a_store_that_refuses_us(tmp_path: Path, own_redis: RedisServer, password: str) -> None:
    (tmp_path / "secret").write_text(password)
    text = f'store.url = "{own_redis.url}"\nstore.password_file = "secret"\n'
    code, said = wrote(tmp_path, "check-config", AUTH + text + SITES)
    assert (code, b"store" in said) == (1, True), said
    assert leaks({"check-config": said}, known()) == []


HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("headers", "read"),
    [
        pytest.param(f"Bearer {QUOTED}", False, id="without a name"),
        pytest.param(f"authorization Bearer={QUOTED}", False, id="a name with a space"),
        pytest.param(f"authorization=Bearer {PASSWORD}", True, id="good"),
    ],
)
def test_threat_nor_what_exporters_say(tmp_path: Path, taken: str, headers: str, read: bool, protocol: str) -> None:
    environment = {HEADERS: headers, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    environment |= {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    code, said = wrote(tmp_path, "serve", AUTH + SITES + taken, **environment)
    assert (code, b"admin.address" in said) == (1, True), said
    assert (b"Header format invalid!" in said) is not read
    assert leaks({"serve": said}, known()) == []


@pytest.mark.parametrize("signal", ["", "TRACES_", "METRICS_"])
def test_threat_a_collectors_endpoint_has_no_password(tmp_path: Path, taken: str, signal: str) -> None:
    name = f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT"
    environment = {name: f"http://user:{QUOTED}@127.0.0.1:1"}
    environment |= {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}
    code, said = wrote(tmp_path, "serve", AUTH + SITES + taken, **environment)
    assert code == 2, said
    assert f"{name} has a user or a password: give credentials by {HEADERS}".encode() in said
    assert leaks({"serve": said}, known()) == []
