"""The commands: what they print, where, and with which exit code."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from extproc import cli
from extproc.app import build_store
from extproc.evidence.model import Observation
from extproc.evidence.redis import RedisStore
from extproc.oci.reference import Digest, Name, Tag
from extproc.settings import Settings
from tests.auth import issuer
from tests.support.heads import INDEX
from tests.support.ports import free_port
from tests.support.program import SITES
from tests.support.redis_server import RedisServer

DIGEST = Digest("sha256:" + "a" * 64)


@dataclass
class Ran:
    code: object
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The console script with these arguments."""
    monkeypatch.delenv("GEO_EXTPROC_CONFIG", raising=False)

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["geo-extproc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ran(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """With keys; the store in memory."""
    issuer.written(tmp_path / "key.pem", issuer.public_pem("rsa"))
    file = tmp_path / "geo.toml"
    file.write_text('auth.realm = "https://issuer/jwt/auth"\nauth.keys = ["key.pem"]\n' + SITES)
    return file


def with_store(config: Path, url: str) -> Path:
    config.write_text(config.read_text() + f'store.url = "{url}"\n')
    return config


def token(**changes: Any) -> str:
    now = time.time()
    claims = issuer.claims(iat=now, nbf=now, exp=now + 300, **changes)
    return issuer.token(claims, kid=issuer.verification_key("rsa").ids()[0])


def one_sentence(ran: Ran, code: int, *parts: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    (sentence,) = ran.err.splitlines()
    assert sentence.startswith("geo-extproc: ")
    for part in parts:
        assert part in sentence


COMMANDS = [command.name or command.callback.__name__ for command in cli.cli.registered_commands if command.callback]


class TestUsage:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_help(self, command: str) -> None:
        result = CliRunner().invoke(cli.cli, [command, "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output

    def test_no_command(self) -> None:
        result = CliRunner().invoke(cli.cli, [])
        assert result.exit_code == 2
        assert all(command in result.output for command in COMMANDS)

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param(("nonsense",), id="command"),
            pytest.param(("serve", "--nonsense"), id="option"),
            pytest.param(("explain",), id="no request"),
            pytest.param(("check-config", "-o", "xml"), id="output"),
        ],
    )
    def test_wrong(self, run: Run, arguments: tuple[str, ...]) -> None:
        ran = run(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "Traceback" not in ran.err

    @pytest.mark.parametrize("command", [("serve",), ("check-config",), ("envoy-config",), ("explain", "a")])
    def test_no_configuration(self, run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
        ran = run(*command, "--config", tmp_path / "nowhere.toml")
        one_sentence(ran, 2, "nowhere.toml", "No such file", "--config")

    def test_the_configuration_from_the_environment(
        self, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GEO_EXTPROC_CONFIG", str(config))
        assert run("check-config").code == 0

    def test_interrupted(self, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(file: Path) -> Settings:
            raise KeyboardInterrupt

        monkeypatch.setattr(Settings, "load", interrupt)
        assert run("check-config", "-c", config).code in {1, 130}


class TestCheckConfig:
    def test_good(self, run: Run, config: Path) -> None:
        ran = run("check-config", "-c", config)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.splitlines()[-1] == "good"

    def test_json(self, run: Run, config: Path) -> None:
        ran = run("check-config", "-c", config, "-o", "json")
        assert ran.code == 0
        assert json.loads(ran.out) == {
            "config": str(config),
            "auth": "token",
            "store": "memory://",
            "keys": str(config.parent / "key.pem"),
        }

    def test_passthrough(self, run: Run, config: Path) -> None:
        config.write_text('auth.mode = "passthrough"\n' + SITES)
        assert json.loads(run("check-config", "-c", config, "-o", "json").out)["keys"] == "none needed"

    def test_store(self, run: Run, config: Path, tmp_path: Path) -> None:
        with RedisServer(tmp_path) as redis:
            ran = run("check-config", "-c", with_store(config, redis.url), "-o", "json")
        assert ran.code == 0
        assert json.loads(ran.out)["store"] == redis.url

    def test_store_away(self, run: Run, config: Path) -> None:
        place = f"127.0.0.1:{free_port()}/0"
        ran = run("check-config", "-c", with_store(config, f"redis://user:hunter2@{place}"))
        one_sentence(ran, 1, f"redis://{place}", "start it or correct the store table")
        assert "hunter2" not in ran.err

    @pytest.mark.parametrize(
        ("key", "parts"),
        [
            pytest.param(b"nonsense", ["key.pem", "neither PEM nor a JWKS"], id="no key"),
            pytest.param(None, ["key.pem", "No such file"], id="missing"),
        ],
    )
    def test_keys(self, run: Run, config: Path, key: bytes | None, parts: list[str]) -> None:
        (config.parent / "key.pem").unlink()
        if key is not None:
            (config.parent / "key.pem").write_bytes(key)
        one_sentence(run("check-config", "-c", config), 2, *parts)

    def test_settings(self, run: Run, config: Path) -> None:
        config.write_text(config.read_text() + "server.workers = 0\n")
        one_sentence(run("check-config", "-c", config), 2, "server.workers", "0")


class TestEnvoyConfig:
    def test_to_the_terminal(self, run: Run, config: Path) -> None:
        ran = run("envoy-config", "-c", config)
        assert (ran.code, ran.err) == (0, "")
        assert "static_resources" in yaml.safe_load(ran.out)

    def test_to_a_file(self, run: Run, config: Path, tmp_path: Path) -> None:
        ran = run("envoy-config", "-c", config, "--write", tmp_path / "envoy.yaml")
        assert (ran.code, ran.out, ran.err) == (0, "", "")
        assert "static_resources" in yaml.safe_load((tmp_path / "envoy.yaml").read_text())

    def test_to_nowhere(self, run: Run, config: Path, tmp_path: Path) -> None:
        ran = run("envoy-config", "-c", config, "--write", tmp_path / "no" / "envoy.yaml")
        one_sentence(ran, 1, "no/envoy.yaml", "No such file", "choose another path")


class TestExplain:
    def test_text(self, run: Run, config: Path) -> None:
        ran = run("explain", "-c", config, "registry.example.com/g/app:v1")
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        assert lines[0] == "operation  GET manifest v1 of g/app"
        assert lines[-2] == "reason     tag-unverified"
        assert lines[-1].startswith("note       memory:// lives inside the serving process")

    def test_json(self, run: Run, config: Path) -> None:
        ran = run("explain", "-c", config, "-o", "json", "get", "/v2/g/app/manifests/v1?ns=x")
        assert ran.code == 0
        document = json.loads(ran.out)
        assert list(document) == ["operation", "grant", "evidence", "decision", "reason"]
        assert document["operation"]["method"] == "GET"
        assert document["grant"] == {"status": "assumed", "access": ["repository:g/app:pull"]}

    def test_an_empty_token_is_no_token(self, run: Run, config: Path) -> None:
        document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "", "a/b").out)
        assert document["reason"] == "token-missing"

    def test_a_token_and_none_exclude_each_other(self, run: Run, config: Path) -> None:
        one_sentence(run("explain", "-c", config, "--token", "x", "--anonymous", "a/b"), 2, "--token", "--anonymous")

    def test_anonymous(self, run: Run, config: Path) -> None:
        document = json.loads(run("explain", "-c", config, "-o", "json", "--anonymous", "a/b").out)
        assert document["reason"] == "token-missing"
        assert document["decision"] == {"answer": 401, "asks_for": ["repository:a/b:pull"]}

    @pytest.mark.parametrize(("reference", "reason"), [("a/b", "tag-unverified"), ("a/c", "scope-insufficient")])
    def test_token(self, run: Run, config: Path, reference: str, reason: str) -> None:
        secret = token()
        ran = run("explain", "-c", config, "-o", "json", "--token", secret, reference)
        document = json.loads(ran.out)
        assert (document["reason"], document["grant"]["status"]) == (reason, "verified")
        assert secret not in ran.out

    def test_token_from_standard_input(self, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(token() + "\n"))
        document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "-", "a/b").out)
        assert document["grant"]["status"] == "verified"

    def test_no_token_after_all(self, run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty standard input is no token, not a licence to assume one."""
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        document = json.loads(run("explain", "-c", config, "-o", "json", "--token", "-", "a/b").out)
        assert document["reason"] == "token-missing"

    @pytest.mark.parametrize("extra", [(), ("--anonymous",)])
    def test_passthrough(self, run: Run, config: Path, extra: tuple[str, ...]) -> None:
        config.write_text('auth.mode = "passthrough"\n' + SITES)
        document = json.loads(run("explain", "-c", config, "-o", "json", *extra, "a/b").out)
        assert (document["grant"]["status"], document["reason"]) == ("passthrough", "tag-unverified")

    async def _learn(self, config: Path) -> None:
        store = build_store(Settings.load(config))
        assert isinstance(store, RedisStore)
        name, tag = Name("a/b"), Tag("latest")
        snapshot = (await store.decide(name, tag)).snapshot
        assert await store.learn(name, snapshot, Observation(DIGEST, tag=tag, media_type=INDEX, primary_has=True))
        await store.close()

    def test_evidence_of_the_serving_processes(self, run: Run, config: Path, tmp_path: Path) -> None:
        import asyncio

        with RedisServer(tmp_path) as redis:
            asyncio.run(self._learn(with_store(config, redis.url)))
            document = json.loads(run("explain", "-c", config, "-o", "json", "a/b").out)
        assert (document["reason"], document["decision"]["pinned_to"]) == ("tag-verified", DIGEST)

    def test_store_away(self, run: Run, config: Path) -> None:
        with_store(config, f"redis://127.0.0.1:{free_port()}")
        ran = run("explain", "-c", config, "-o", "json", "a/b")
        assert ran.code == 0
        assert json.loads(ran.out)["reason"] == "evidence-unavailable"

    @pytest.mark.parametrize(
        ("request_", "part"),
        [
            pytest.param(("G/app",), "'G/app'", id="name"),
            pytest.param(("a/b:.x",), "'.x'", id="tag"),
            pytest.param(("a/b@sha256:1",), "'sha256:1'", id="digest"),
            pytest.param(("GET", "a/b"), "'GET a/b' is neither", id="no path"),
            pytest.param(("GET", "/v2/", "x"), "'GET /v2/ x' is neither", id="too much"),
        ],
    )
    def test_bad_request(self, run: Run, config: Path, request_: tuple[str, ...], part: str) -> None:
        one_sentence(run("explain", "-c", config, *request_), 2, part)
