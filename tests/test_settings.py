"""The configuration: what is read from where, and one sentence for everything that cannot be used."""

from __future__ import annotations

import os
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from pydantic import BaseModel

from extproc.settings import Endpoint, Settings, SettingsError, Site
from extproc.settings.section import public_url

AUTH = 'auth.realm = "https://gitlab.example.com/jwt/auth"\nauth.keys = ["/k.pem"]\n'
SITES = 'sites.primary.url = "https://p.example.com"\nsites.secondary.url = "http://10.0.0.1:5000"\n'
WHOLE = AUTH + SITES


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("GEO_EXTPROC_")]:
        monkeypatch.delenv(variable)


def load(folder: Path, text: str) -> Settings:
    file = folder / "geo.toml"
    file.write_text(text)
    return Settings.load(file)


def fault(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    return sentence


class TestFile:
    def test_defaults(self, tmp_path: Path) -> None:
        settings = load(tmp_path, WHOLE)
        assert settings.server.workers == 1
        assert settings.server.address is None
        assert settings.server.socket(3) == Path("/run/geo-extproc/worker-3.sock")
        assert str(settings.admin.address) == "127.0.0.1:9001"
        assert settings.policy.max_staleness == 60
        assert settings.store.url == "memory://"
        assert settings.sites.primary.endpoint == Endpoint(host="p.example.com", port=443)

    def test_tables(self, tmp_path: Path) -> None:
        settings = load(
            tmp_path,
            WHOLE + 'server = {address = "[::1]:7000", workers = 3}\nstore.url = "redis://h"\nauth.leeway = 5',
        )
        assert settings.server.address == Endpoint(host="::1", port=7000)
        assert str(settings.server.address) == "[::1]:7000"
        assert settings.auth.leeway == 5

    def test_passthrough_needs_no_issuer(self, tmp_path: Path) -> None:
        assert load(tmp_path, 'auth.mode = "passthrough"\n' + SITES).auth.keys == ()

    def test_two_registries_behind_one_address(self, tmp_path: Path) -> None:
        text = 'sites = {primary = {url = "https://lb", host = "p"}, secondary = {url = "https://lb", host = "s"}}\n'
        assert load(tmp_path, AUTH + text).sites.secondary.host == "s"

    def test_a_store_in_memory_takes_no_time(self, tmp_path: Path) -> None:
        assert load(tmp_path, WHOLE + "envoy.message_timeout = 0.01").envoy.message_timeout == 0.01

    def test_settings_do_not_change(self, tmp_path: Path) -> None:
        settings = load(tmp_path, WHOLE)
        with pytest.raises(ValueError, match="frozen"):
            settings.server.workers = 2

    def test_relative_paths_are_relative_to_the_files_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "etc"
        folder.mkdir()
        (folder / "geo.toml").write_text(
            'auth.keys = ["keys/a.pem", "/abs/b.pem", "../c.pem"]\nauth.realm = "https://i"\n'
            'server.socket_dir = "run"\n'
            'store = {url = "rediss://h", password_file = "secret", ca = "ca.pem"}\n'
            'sites.primary = {url = "https://p", ca = "p.pem"}\n'
            'sites.secondary = {url = "https://s"}\n'
            'envoy = {certificate = "tls.crt", private_key = "tls.key"}\n'
        )
        monkeypatch.chdir(tmp_path)
        settings = Settings.load(Path("etc/geo.toml"))
        assert settings.auth.keys == (folder / "keys/a.pem", Path("/abs/b.pem"), folder / "../c.pem")
        assert settings.server.socket_dir == folder / "run"
        assert settings.store.password_file == folder / "secret"
        assert settings.store.ca == folder / "ca.pem"
        assert settings.sites.primary.ca == folder / "p.pem"
        assert settings.sites.secondary.ca is None
        assert settings.envoy.certificate == folder / "tls.crt"
        assert settings.envoy.private_key == folder / "tls.key"

    def test_patterns_are_no_paths(self, tmp_path: Path) -> None:
        rollout = load(tmp_path, WHOLE + 'rollout = {include = ["a/**"], exclude = ["a/b"]}').rollout
        assert (rollout.include, rollout.exclude) == (("a/**",), ("a/b",))

    def test_a_linked_file_is_where_its_name_is(self, tmp_path: Path) -> None:
        """As Kubernetes mounts a ConfigMap: geo.toml → ..data/geo.toml."""
        (tmp_path / "..data").mkdir()
        (tmp_path / "..data" / "geo.toml").write_text(WHOLE.replace("/k.pem", "k.pem"))
        (tmp_path / "geo.toml").symlink_to("..data/geo.toml")
        assert Settings.load(tmp_path / "geo.toml").auth.keys == (tmp_path / "k.pem",)


class TestEnvironment:
    @pytest.mark.parametrize(
        ("variable", "value", "path", "expected"),
        [
            pytest.param("GEO_EXTPROC_SERVER__ADDRESS", "h:7000", "server.address.port", 7000, id="optional address"),
            pytest.param("GEO_EXTPROC_ENVOY__LISTEN", "0.0.0.0:80", "envoy.listen.port", 80, id="address of Envoy"),
            pytest.param("GEO_EXTPROC_SERVER__DRAIN", "2.5", "server.drain", 2.5, id="number"),
            pytest.param("geo_extproc_server__drain", "2.5", "server.drain", 2.5, id="lower case"),
            pytest.param("GEO_EXTPROC_ADMIN__ADDRESS", "[::]:1", "admin.address.host", "::", id="address"),
            pytest.param(
                "GEO_EXTPROC_SITES__PRIMARY__URL", "http://x:1", "sites.primary.url", "http://x:1", id="deep"
            ),
            pytest.param("GEO_EXTPROC_STORE", '{"prefix": "b"}', "store.prefix", "b", id="a table as JSON"),
            pytest.param(
                "GEO_EXTPROC_ENVOY__RESPONSE_HEADERS", "false", "envoy.response_headers", False, id="switch"
            ),
            pytest.param("GEO_EXTPROC_AUTH__KEYS", '["/a", "/b"]', "auth.keys", (Path("/a"), Path("/b")), id="JSON"),
            pytest.param("GEO_EXTPROC_AUTH__KEYS", "/a, /b", "auth.keys", (Path("/a"), Path("/b")), id="commas"),
            pytest.param("GEO_EXTPROC_ROLLOUT__INCLUDE", "a/**, b", "rollout.include", ("a/**", "b"), id="patterns"),
            pytest.param(
                "GEO_EXTPROC_ROLLOUT__EXCLUDE", '["a/*"]', "rollout.exclude", ("a/*",), id="patterns as JSON"
            ),
        ],
    )
    def test_override(  # noqa: PLR0917 - a table's columns
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        value: str,
        path: str,
        expected: object,
    ) -> None:
        monkeypatch.setenv(variable, value)
        found: object = load(tmp_path, WHOLE + 'server.drain = 9\nstore.prefix = "a"\n')
        for part in path.split("."):
            found = getattr(found, part)
        assert found == expected

    def test_relative_paths_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GEO_EXTPROC_SERVER__SOCKET_DIR", "sockets")
        assert load(tmp_path, WHOLE).server.socket_dir == tmp_path / "sockets"

    def test_what_the_file_lacks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GEO_EXTPROC_AUTH__MODE", "passthrough")
        assert load(tmp_path, SITES).auth.mode == "passthrough"

    @pytest.mark.parametrize(
        "variable",
        [
            pytest.param("GEO_EXTPROC_CONFIG", id="the command line's"),
            pytest.param("GEO_EXTPROC_SERVICE_HOST", id="Kubernetes, service link"),
            pytest.param("GEO_EXTPROC_PORT_9001_TCP_ADDR", id="Kubernetes, port"),
            pytest.param("GEO_EXTPROC_ADMIN_SERVICE_HOST", id="Kubernetes, a Service for the admin server"),
        ],
    )
    def test_what_is_not_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "x")
        load(tmp_path, WHOLE)

    @pytest.mark.parametrize(
        ("variable", "value", "sentence"),
        [
            pytest.param(
                "GEO_EXTPROC_STOER__URL", "x", "GEO_EXTPROC_STOER__URL is not a setting; check its", id="table"
            ),
            pytest.param(
                "GEO_EXTPROC_POLICY_MAX_STALENESS",
                "5",
                "POLICY_MAX_STALENESS is not .+ two underscores; call it GEO_EXTPROC_POLICY__MAX_STALENESS$",
                id="one underscore",
            ),
            pytest.param(
                "geo_extproc_sites_primary_url",
                "http://x",
                "two underscores; call it GEO_EXTPROC_SITES__PRIMARY__URL$",
                id="one underscore, deep",
            ),
            pytest.param(
                "GEO_EXTPROC_SITES__PRIMARY_URL", "http://x", "GEO_EXTPROC_SITES__PRIMARY__URL$", id="one of two"
            ),
            pytest.param(
                "GEO_EXTPROC_SERVICE__ACCOUNT__USERNAME",
                "x",
                "call it GEO_EXTPROC_SERVICE_ACCOUNT__USERNAME$",
                id="two in a table's name",
            ),
            pytest.param("GEO_EXTPROC_STORE__ULR", "x", "store.ulr in .+ is not a setting; check its", id="key"),
            pytest.param("GEO_EXTPROC_STORE", "x", "environment cannot be used: .+store.+; give one", id="not JSON"),
            pytest.param(
                "GEO_EXTPROC_AUTH__KEYS", '["a', r"auth.keys .+'\[\"a' is not JSON.+; give a list", id="keys"
            ),
            pytest.param(
                "GEO_EXTPROC_ROLLOUT__INCLUDE",
                '["a',
                r"rollout.include .+'\[\"a' is not JSON.+; give a list",
                id="patterns",
            ),
            pytest.param("GEO_EXTPROC_SERVER__DRAIN", "soon", "server.drain .+'soon' is not a number", id="number"),
        ],
    )
    def test_wrong(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SettingsError, match=sentence):
            load(tmp_path, WHOLE)


class TestWrong:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            pytest.param(SITES, ["auth ", "is required but not set"], id="no auth"),
            pytest.param(AUTH, ["sites ", "is required but not set"], id="no sites"),
            pytest.param(AUTH + 'sites.primary.url = "http://p"\n', ["sites.secondary"], id="one site"),
            pytest.param(WHOLE + "server.wokers = 2", ["server.wokers", "check its spelling"], id="misspelt key"),
            pytest.param(WHOLE + "[sever]\nworkers = 2", ["sever", "check its spelling"], id="misspelt table"),
            pytest.param(
                WHOLE + "server.workers = 0", ["server.workers", "0", "0 is too small: give 1 or more"], id="too few"
            ),
            pytest.param(
                WHOLE + 'server.workers = "two"', ["server.workers", "'two' is not a whole number"], id="no number"
            ),
            pytest.param(WHOLE + "server.workers = 2", ["workers is 2", "redis://"], id="workers in memory"),
            pytest.param(WHOLE + "server.drain = inf", ["server.drain", "inf is not a finite number"], id="infinite"),
            pytest.param(WHOLE + "policy.max_staleness = nan", ["max_staleness", "nan", "finite"], id="not a number"),
            pytest.param(
                WHOLE + "policy.absent_ttl = -1",
                ["policy.absent_ttl", "-1 is too small: give more than 0"],
                id="negative",
            ),
            pytest.param(WHOLE + 'server.address = "x"', ["server.address", "'x' is not host:port"], id="no port"),
            pytest.param(WHOLE + 'admin.address = "h:0"', ["'h:0'", "a port is 1 to 65535"], id="port 0"),
            pytest.param(WHOLE + 'admin.address = "h:99999"', ["'h:99999'", "1 to 65535"], id="port beyond"),
            pytest.param(WHOLE + 'admin.address = "h:٣"', ["is not host:port"], id="other digits"),
            pytest.param(
                WHOLE + 'store.url = "redis://h"\nserver = {address = "h:65535", workers = 2}',
                ["h:65535", "2 workers", "choose a lower port"],
                id="no port for each worker",
            ),
            pytest.param(
                WHOLE + 'server.socket_access = "0666"',
                ["server.socket_access", "'0666' is not 'owner' or 'group'"],
                id="access to the sockets",
            ),
            pytest.param(
                WHOLE + 'server.transport = "http"', ["server.transport", "'http' is not 'grpcio'"], id="choice"
            ),
            pytest.param(SITES + 'auth.realm = "https://x"', ["keys is empty", "passthrough"], id="no keys"),
            pytest.param(SITES + 'auth.keys = ["k"]', ["realm ''", "token endpoint"], id="no realm"),
            pytest.param(WHOLE + 'auth.keys_url = "issuer/keys"', ["keys_url", "is not a URL"], id="keys: no URL"),
            pytest.param(
                WHOLE + 'auth.keys_url = "http://issuer/keys"', ["keys_url", "is not https"], id="keys: without TLS"
            ),
            pytest.param(
                WHOLE + 'auth.keys_url = "https://u:hunter2@issuer/keys"', ["keys_url", "has a user"], id="keys: user"
            ),
            pytest.param(
                WHOLE + 'auth.keys_ca = "ca"\nauth.keys_url = "http://localhost/k"',
                ["keys_ca", "no TLS"],
                id="keys: CA",
            ),
            pytest.param(
                WHOLE + "auth.keys_min_interval = 301", ["keys_min_interval 301", "lower it"], id="keys: intervals"
            ),
            pytest.param(SITES + 'auth = {keys = ["k"], realm = "https://é"}', ["is not a URL"], id="realm"),
            pytest.param(
                SITES + 'auth = {keys = ["k"], realm = "https://u:p@h/jwt/auth"}', ["has a user"], id="realm, user"
            ),
            pytest.param(WHOLE + 'auth.service = "é"', ["service 'é'", "audience"], id="service"),
            pytest.param(WHOLE + 'auth.service = ""', ["service ''", "audience"], id="no service"),
            pytest.param(
                WHOLE + "auth.leeway = 301", ["auth.leeway", "301 is too large: give 300 or less"], id="leeway"
            ),
            pytest.param(WHOLE + 'store.url = "http://h"', ["store.url", "'http://h' is not memory://"], id="store"),
            pytest.param(WHOLE + 'store.prefix = "a b"', ["store.prefix", "'a b'"], id="prefix"),
            pytest.param(
                WHOLE + 'store = {url = "redis://h", ca = "c"}',
                ["'redis://h' has no TLS", "rediss://"],
                id="useless CA",
            ),
            pytest.param(
                WHOLE + 'rollout.include = ["a/**", "Group/*"]',
                ["rollout.include.1 ", "'Group/*' is not a pattern of names", "lower-case letters"],
                id="pattern",
            ),
            pytest.param(
                WHOLE + 'rollout.exclude = ["a**"]', ["rollout.exclude.0 ", "'a**'", "between slashes"], id="stars"
            ),
            pytest.param(WHOLE + 'rollout.include = [""]', ["rollout.include.0 ", "it is empty"], id="empty pattern"),
            pytest.param(
                WHOLE + 'mesh.hostname = "https://registry.example.com"',
                ["mesh.hostname ", "'https://registry.example.com' is not the name of a host", "without scheme"],
                id="host name with a scheme",
            ),
            pytest.param(WHOLE + 'mesh.hostname = "a..b"', ["mesh.hostname ", "'a..b' is not"], id="no host name"),
            pytest.param(WHOLE + "rollout.include = [1]", ["rollout.include.0 ", "1 is not text"], id="no pattern"),
            pytest.param(WHOLE + "rollout.include = 1", ["rollout.include ", "1 is not a list"], id="no patterns"),
            pytest.param(
                WHOLE + "rollout.percentage = 101", ["rollout.percentage", "101 is too large: give 100"], id="share"
            ),
            pytest.param(
                WHOLE + 'rollout.mode = "off"', ["rollout.mode", "'off' is not 'serve', 'observe' or"], id="mode"
            ),
            pytest.param(WHOLE + 'envoy.certificate = "c"', ["certificate and private_key"], id="half a pair"),
            pytest.param(WHOLE + "server = 3", ["server ", "3 is not a table"], id="no table"),
            pytest.param(WHOLE + "server = []", ["server ", "the value is not a table"], id="a list for a table"),
            pytest.param(WHOLE + "server.workers = 1.5", ["1.5 is not a whole number"], id="a broken number"),
            pytest.param(WHOLE + "server.drain = [1]", ["the value is not a number"], id="a list for a number"),
            pytest.param(WHOLE + 'envoy.response_headers = "maybe"', ["'maybe' is neither true nor"], id="switch"),
            pytest.param(WHOLE + "store.prefix = 3", ["3 is not text", "quotes"], id="no text"),
            pytest.param(WHOLE + "server.socket_dir = 3", ["3 is not a path", "quotes"], id="no path"),
            pytest.param(
                'auth.realm = "https://x"\nauth.keys = 3\n' + SITES, ["3 is not a list", "brackets"], id="no list"
            ),
            pytest.param(
                AUTH + SITES.replace("http://10.0.0.1:5000", "https://P.example.com:443/"),
                ["sites ", "both 'https://p.example.com'", "host by which each is known"],
                id="one registry for both sites",
            ),
            pytest.param(
                WHOLE + 'store = {url = "redis://h", budget = 0.1}',
                ["envoy.message_timeout is 0.2", "0.2 s", "above 0.2", "store.budget, which is 0.1"],
                id="no time for the store",
            ),
        ],
    )
    def test_one_sentence_names_place_value_and_remedy(self, tmp_path: Path, text: str, parts: list[str]) -> None:
        sentence = fault(tmp_path, text)
        assert str(tmp_path / "geo.toml") in sentence
        for part in parts:
            assert part in sentence

    @pytest.mark.parametrize(
        "url",
        ["p.example.com", "ftp://p", "http://", "http://p/v2", "http://p?a", "http://p:x", "http://p:0", "https://"],
    )
    def test_site_url(self, tmp_path: Path, url: str) -> None:
        sentence = fault(tmp_path, AUTH + f'sites.primary.url = "{url}"\nsites.secondary.url = "http://s"')
        assert "sites.primary.url" in sentence
        assert "is not h" in sentence

    def test_more_than_one_fault_is_said_so(self, tmp_path: Path) -> None:
        assert "(1 more)" in fault(tmp_path, WHOLE + "server = {workers = 0, drain = 0}")

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            pytest.param("a = [", ["is not TOML: invalid value at its end; complete it"], id="unfinished"),
            pytest.param("a\nb", ["is not TOML: line 1, column 2: expected '='", "correct that line"], id="no value"),
            pytest.param("a = /x", ["line 1, column 5: invalid value", "in quotes"], id="no quotes"),
            pytest.param("[a]\n[a]\n", ["line 2, column 3: cannot declare 'a' twice"], id="a table twice"),
        ],
    )
    def test_not_toml(self, tmp_path: Path, text: str, parts: list[str]) -> None:
        sentence = fault(tmp_path, text)
        for part in parts:
            assert part in sentence

    def test_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "geo.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(SettingsError, match="is not TOML: byte 1 is 0xff, which is not UTF-8; save it as UTF-8"):
            Settings.load(tmp_path / "geo.toml")

    def test_it_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is judged is what is used, though the file is replaced meanwhile."""
        file = tmp_path / "geo.toml"
        file.write_text(WHOLE)

        def read(stream: BinaryIO) -> dict[str, Any]:
            document = tomllib.loads(stream.read().decode())
            file.write_text("= = =")
            return document

        expected = Settings.load(file)
        monkeypatch.setattr(tomllib, "load", read)
        assert Settings.load(file) == expected

    @pytest.mark.parametrize(("name", "reason"), [("nowhere.toml", "No such file"), (".", "Is a directory")])
    def test_unreadable(self, tmp_path: Path, name: str, reason: str) -> None:
        with pytest.raises(SettingsError, match=f"{reason}.*; give its path with --config"):
            Settings.load(tmp_path / name)

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param('store.url = "http://user:hunter2@h"', id="scheme"),
            pytest.param(
                'store.url = "redis://user:hunt@er2:hunter2@h?password=hunter2"\nserver.workers = 0', id="other"
            ),
            pytest.param('store = {url = "redis://u:hunter2@h", ca = "c"}', id="CA"),
            pytest.param('store.password = "hunter2"', id="no such key"),
        ],
    )
    def test_threat_no_message_shows_a_password(self, tmp_path: Path, text: str) -> None:
        assert "hunter2" not in fault(tmp_path, WHOLE + text)

    def test_threat_nor_that_of_a_site(self, tmp_path: Path) -> None:
        assert "hunter2" not in fault(tmp_path, AUTH + SITES.replace("http://10.", "http://u:hunter2@10."))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user:pass@h:6379/0?password=x", "redis://h:6379/0"),
        ("rediss://:p@ss@h", "rediss://h"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis:/u:hunter2@h/0", "…"),
        ("u:hunter2@h:1", "…"),
    ],
)
def test_public_url(url: str, shown: str) -> None:
    assert public_url(url) == shown


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://h", "h", 80),
        ("https://h", "h", 443),
        ("https://h:5000/", "h", 5000),
        ("http://[::1]", "::1", 80),
        ("https://[::1]:1", "::1", 1),
    ],
)
def test_site_endpoint(url: str, host: str, port: int) -> None:
    site = Site(url=url)
    assert site.endpoint == Endpoint(host=host, port=port)
    assert site.endpoint.is_ip is (host == "::1")
    assert site.tls is url.startswith("https")


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
        for annotation in typing.get_args(field.annotation) if union else (field.annotation,):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from _sections(annotation)


_DESCRIBED = [
    pytest.param(section, key, id=f"{section.__name__}.{key}")
    for section in dict.fromkeys(_sections(Settings))
    if section is not Settings
    for key in section.model_fields
]


@pytest.mark.parametrize(("section", "key"), _DESCRIBED)
def test_every_setting_is_described(section: type[BaseModel], key: str) -> None:
    """The reference for users is made from these."""
    description = section.model_fields[key].description
    assert description is not None
    assert description.strip().endswith((".", "`"))


def test_every_table_is_described() -> None:
    sections = list(dict.fromkeys(_sections(Settings)))
    assert len(sections) >= 10
    assert all((section.__doc__ or "").strip() for section in sections)


class TestHandedOn:
    def test_another_process_has_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = (
            'store = {url = "redis://u:hunter2@h:1/2", name_ttl = 7.5}\nserver.address = "[::1]:9000"\n'
            'rollout.include = ["a/*"]\nsites.issuer = {url = "https://i", ca = "ca.pem"}\n'
        )
        settings = load(tmp_path, WHOLE + text)
        # What the environment says by then does not count.
        monkeypatch.setenv("GEO_EXTPROC_STORE__NAME_TTL", "1")
        monkeypatch.setenv("GEO_EXTPROC_POLICY__MAX_STALENESS", "1")
        line = settings.handed_on()
        assert "\n" not in line
        assert Settings.taken(line) == settings
