"""`check-config` and `envoy-config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.bootstrap import certificates
from tests.cli.running import Run, one_sentence, with_store
from tests.support.ports import free_port
from tests.support.program import SITES
from tests.support.redis_server import RedisServer


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
            "files": "no others",
        }

    def test_keys_by_url(self, run: Run, config: Path) -> None:
        config.write_text(config.read_text() + 'auth.keys_url = "https://127.0.0.1:1/keys"\n')
        keys = json.loads(run("check-config", "-c", config, "-o", "json").out)["keys"]
        assert keys == f"{config.parent / 'key.pem'}, https://127.0.0.1:1/keys (not fetched)"

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

    def test_a_wrong_password_is_no_absence(self, run: Run, config: Path, tmp_path: Path) -> None:
        with RedisServer(tmp_path, "--requirepass", "hunter2") as redis:
            (tmp_path / "password").write_text("wrong-secret")
            config.write_text(config.read_text() + 'store.password_file = "password"\n')
            ran = run("check-config", "-c", with_store(config, redis.url))
        one_sentence(ran, 1, "the store refused us", redis.url, "invalid username-password pair", "user and password")
        assert "away" not in ran.err
        assert "secret" not in ran.err

    def test_another_kind_of_redis_is_no_absence(self, run: Run, config: Path, tmp_path: Path) -> None:
        port = free_port()
        with RedisServer(tmp_path, port=port):
            ran = run("check-config", "-c", with_store(config, f"redis+cluster://127.0.0.1:{port}"))
        one_sentence(ran, 1, "the store cannot be used: ", "cluster support disabled", "; correct the store table")

    def test_a_missing_password_file(self, run: Run, config: Path) -> None:
        config.write_text(config.read_text() + 'store.password_file = "nowhere"\n')
        ran = run("check-config", "-c", with_store(config, "redis://127.0.0.1:1"))
        one_sentence(ran, 2, "/nowhere", "No such file", "correct the store table")
        assert ran.err.count("nowhere") == ran.err.count("store table") == 1

    def test_files(self, run: Run, config: Path, tmp_path: Path) -> None:
        certificate, key = certificates.write(tmp_path, "registry.example.com")
        config.write_text(config.read_text() + f'envoy = {{certificate = "{certificate}", private_key = "{key}"}}\n')
        assert json.loads(run("check-config", "-c", config, "-o", "json").out)["files"] == f"{certificate}, {key}"
        key.write_text("")
        one_sentence(run("check-config", "-c", config), 2, str(key), "no private key in PEM")
        assert json.loads(run("check-config", "--no-envoy", "-c", config, "-o", "json").out)["files"] == "no others"

    @pytest.mark.parametrize(
        ("content", "parts"),
        [
            pytest.param(None, ["reconcile.names_file", "/names", "No such file", "correct the path"], id="missing"),
            pytest.param(
                "group/one\nGroup/Two\n",
                ["line 2 of", "/names'", "'Group/Two'", "group/project"],
                id="not a name",
            ),
            pytest.param("# none\n", ["/names'", "no name in it", "one on each line"], id="no name"),
        ],
    )
    @pytest.mark.parametrize("names", ["", 'reconcile.names = "file"\n'])
    def test_names_file(self, run: Run, config: Path, content: str | None, parts: list[str], names: str) -> None:
        config.write_text(f'{config.read_text()}{names}reconcile.names_file = "names"\n')
        file = config.parent / "names"
        file.write_text("# ours\ngroup/one\n")
        assert json.loads(run("check-config", "-c", config, "-o", "json").out)["files"] == str(file)
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        one_sentence(run("check-config", "-c", config), 2, *parts)

    @pytest.mark.parametrize("names", ["", 'reconcile.names = "gitlab"\n'])
    def test_gitlab_path(self, run: Run, config: Path, names: str) -> None:
        before = config.read_text() + names
        config.write_text(before + 'reconcile.gitlab_path = "group/project"\n')
        assert run("check-config", "-c", config).code == 0
        config.write_text(before + 'reconcile.gitlab_path = "https://gitlab/Group"\n')
        ran = run("check-config", "-c", config)
        one_sentence(ran, 2, "reconcile.gitlab_path 'https://gitlab/Group' is not the path", "such as group/project")

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
