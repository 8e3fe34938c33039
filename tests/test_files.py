"""The files that the settings name: each fault is one sentence that names the setting, the file and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from extproc.files import check_files
from extproc.settings import Settings, SettingsError
from tests.bootstrap import certificates
from tests.support.program import SITES

SECRETS = (
    'notifications.secret_file = "secret"\nreconcile.names_file = "names"\n'
    'service_account = {username = "geo", password_file = "password"}\n'
)
ENVOY = 'envoy = {certificate = "r.crt", private_key = "r.key"}\n'
CA = 'sites.secondary.ca = "ca.crt"\nsites.issuer = {url = "https://i", ca = "ca.crt"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With everything that the settings above name."""
    certificates.write(tmp_path, "r")
    certificates.write(tmp_path, "ca")
    for name in ("secret", "password", "names"):
        (tmp_path / name).write_text(f"{name}-content\n")
    return tmp_path


def checked(folder: Path, text: str = SECRETS + ENVOY + CA, *, envoy: bool = True) -> list[str]:
    file = folder / "geo.toml"
    file.write_text('auth.mode = "passthrough"\n' + SITES + text)
    return [path.name for path in check_files(Settings.load(file), envoy=envoy)]


def test_all_are_looked_at(folder: Path) -> None:
    ours = ["secret", "password", "names"]
    assert checked(folder) == [*ours, "r.crt", "r.key", "ca.crt", "ca.crt"]
    assert checked(folder, envoy=False) == ours
    assert checked(folder, "") == []


def test_a_chain_begins_with_the_servers_certificate(folder: Path) -> None:
    """As a chain must; with its authority first the key belongs to no certificate."""
    server, authority = (folder / "r.crt").read_bytes(), (folder / "ca.crt").read_bytes()
    (folder / "r.crt").write_bytes(server + authority)
    checked(folder)
    (folder / "r.crt").write_bytes(authority + server)
    with pytest.raises(
        SettingsError, match=r"private_key '\S+/r.key' is not the key of the first .+ certificate first"
    ):
        checked(folder)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("secret", "notifications.secret_file"),
        ("password", "service_account.password_file"),
        ("names", "reconcile.names_file"),
        ("r.crt", "envoy.certificate"),
        ("r.key", "envoy.private_key"),
        ("ca.crt", "sites.secondary.ca"),
    ],
)
@pytest.mark.parametrize(("directory", "why"), [(False, "No such file or directory"), (True, "Is a directory")])
def test_unreadable(folder: Path, name: str, setting: str, directory: bool, why: str) -> None:
    (folder / name).unlink()
    if directory:
        (folder / name).mkdir()
    with pytest.raises(SettingsError, match=f"cannot read {setting} '{folder / name}': {why}; correct the path"):
        checked(folder)


def encrypted() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        pytest.param("r.crt", b"", r"envoy.certificate '\S+' is no certificate in PEM: give", id="empty certificate"),
        pytest.param("r.crt", b"\x30\x82\xff", r"envoy.certificate '\S+' is no certificate in PEM", id="DER"),
        pytest.param(
            "r.crt",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            r"envoy.certificate '\S+' is no certificate in PEM",
            id="broken certificate",
        ),
        pytest.param("r.key", b"", r"envoy.private_key '\S+' is no private key in PEM: give", id="empty key"),
        pytest.param("r.key", encrypted(), r"envoy.private_key '\S+' is encrypted.+: decrypt it", id="encrypted key"),
        pytest.param("ca.crt", b"x", r"sites.secondary.ca '\S+' is no certificate in PEM", id="CA"),
        pytest.param("secret", b"\n", r"notifications.secret_file '\S+' is empty", id="empty secret"),
        pytest.param("password", b"", r"service_account.password_file '\S+' is not one line", id="empty password"),
    ],
)
def test_unusable(folder: Path, name: str, content: bytes, sentence: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SettingsError, match=sentence):
        checked(folder)


def test_threat_no_message_shows_a_secret(folder: Path) -> None:
    (folder / "password").write_text("hunter2\nhunter2")
    with pytest.raises(SettingsError) as caught:
        checked(folder)
    assert "hunter2" not in str(caught.value)


def test_certificate_and_key_of_different_servers(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"r.key' is not the key of the first certificate in '\S+ca.crt'"):
        checked(folder, 'envoy = {certificate = "ca.crt", private_key = "r.key"}\n')
