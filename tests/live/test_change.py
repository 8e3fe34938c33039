"""What is adopted while we serve, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from extproc.live.change import LIVE, change_of
from extproc.settings import Settings
from tests.support.program import SITES

BASE = 'auth = {mode = "passthrough", keys = ["k"]}\n' + SITES


def loaded(folder: Path, text: str = "") -> Settings:
    file = folder / "geo.toml"
    file.write_text(text + "\n" + BASE)
    return Settings.load(file)


@pytest.mark.parametrize(
    ("text", "adopted", "waiting"),
    [
        pytest.param("", (), (), id="nothing"),
        pytest.param('telemetry.log_level = "debug"', ("telemetry.log_level",), (), id="live"),
        pytest.param('sites.role = "primary"', ("sites.role",), (), id="the role"),
        pytest.param('policy.serve_stale = "if-primary-down"', ("policy.serve_stale",), (), id="stale answers"),
        pytest.param('policy.unknown_digests = "primary"', ("policy.unknown_digests",), (), id="live of a table"),
        pytest.param("policy.max_staleness = 5", (), ("policy.max_staleness",), id="not live of a table"),
        pytest.param("server.workers = 1\nserver.drain = 9", (), ("server.drain",), id="not live"),
        pytest.param('sites.issuer.url = "http://127.0.0.1:3"', (), ("sites.issuer",), id="a site"),
        pytest.param(
            'policy = {present_recheck = 5, absent_ttl = 5}\nstore.prefix = "x"',
            ("policy.present_recheck",),
            ("store.prefix", "policy.absent_ttl"),
            id="both",
        ),
    ],
)
def test_what_changes(tmp_path: Path, text: str, adopted: tuple[str, ...], waiting: tuple[str, ...]) -> None:
    old, new = loaded(tmp_path), loaded(tmp_path, text)
    change = change_of(old, new)
    assert (change.adopted, change.waiting) == (adopted, waiting)
    # In force: the live ones, and of the others nothing.
    assert change_of(old, change.settings).adopted == adopted
    assert change_of(old, change.settings).waiting == ()


def test_keys(tmp_path: Path) -> None:
    old = loaded(tmp_path)
    new = old.model_copy(update={"auth": old.auth.model_copy(update={"keys": (Path("/other"),)})})
    change = change_of(old, new)
    assert change.adopted == ("auth.keys",)
    assert change.settings.auth.keys == (Path("/other"),)


@pytest.mark.parametrize(
    ("text", "waiting"),
    [
        pytest.param('keys_url = "https://issuer/keys"', ("auth.keys", "auth.keys_url"), id="a URL instead"),
        pytest.param('mode = "passthrough"', ("auth.mode", "auth.keys"), id="no tokens any more"),
    ],
)
def test_keys_wait_where_without_them_what_stays_is_no_configuration(
    tmp_path: Path, text: str, waiting: tuple[str, ...]
) -> None:
    """Else a worker could not take what it is ordered, and would end."""
    realm = 'realm = "https://issuer/"'
    file = tmp_path / "geo.toml"
    loads: list[Settings] = []
    for auth in (f'keys = ["k"]\n{realm}', f"{text}\n{realm}"):
        file.write_text(f"rollout.percentage = {len(loads)}\n{SITES}[auth]\n{auth}\n")
        loads.append(Settings.load(file))
    old, new = loads
    change = change_of(old, new)
    assert (change.adopted, change.waiting) == (("rollout.percentage",), waiting)
    assert Settings.taken(change.settings.handed_on()) == change.settings
    assert change.settings.auth == old.auth


@pytest.mark.parametrize("key", ["issuer", "service"])
def test_keys_wait_for_the_issuer_that_signs_with_them(tmp_path: Path, key: str) -> None:
    """With the new keys and the old issuer's name, good tokens of the new one would be refused; with the old keys
    they are the primary's to judge."""
    old = loaded(tmp_path)
    auth = old.auth.model_copy(update={"keys": (Path("/other"),), key: "another"})
    change = change_of(old, old.model_copy(update={"auth": auth}))
    assert (change.adopted, set(change.waiting)) == ((), {f"auth.{key}", "auth.keys"})
    assert change.settings == old


def test_every_live_setting_is_one(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    for name in LIVE:
        table, _, key = name.partition(".")
        found = getattr(settings, table)
        assert not key or hasattr(found, key)
