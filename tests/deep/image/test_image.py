"""The processor's image: built as the Containerfile says, run as a cluster runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
import yaml

from tests.deep.image.built import Image, built
from tests.support.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

USER = 1000


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built(Path(tempfile.mkdtemp(prefix="geo-image-"))) as found:
        yield found


@pytest.fixture
def volumes(tmp_path: Path) -> dict[Path, str]:
    """Settings to read, and what may be written: sockets, and Envoy's configuration."""
    settings, sockets, envoy = tmp_path / "settings", tmp_path / "sockets", tmp_path / "envoy"
    for folder in (settings, sockets, envoy):
        folder.mkdir()
    for folder in (sockets, envoy):
        os.chown(folder, USER, USER)
    (settings / "geo-extproc.toml").write_text(
        'auth.mode = "passthrough"\n'
        f'admin.address = "127.0.0.1:{free_port()}"\n'
        f'envoy.admin = "127.0.0.1:{free_port()}"\n'
        'sites.primary.url = "http://127.0.0.1:1"\nsites.secondary.url = "http://127.0.0.1:2"\n'
    )
    return {settings: "/etc/geo-extproc", sockets: "/run/geo-extproc", envoy: "/run/envoy"}


def said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def size(folder: Path) -> int:
    """Bytes on disk."""
    return int(said(["du", "--summarize", "--bytes", "--one-file-system", str(folder)]).split()[0])


def test_it_is_small_and_has_nothing_to_install_or_build_with(image: Image) -> None:
    ours = size(image.root / "opt" / "geo-extproc")
    print(f"\n{ours / 1e6:.0f} MB above the base's {size(image.base) / 1e6:.0f}")
    assert ours < 200e6
    packages = image.root / "opt/geo-extproc/lib/python3.11/site-packages"
    assert (packages / "extproc").is_dir()
    for name in ("pip", "setuptools", "pytest", "envoy", "grpc_tools", "mypy", "hatchling"):
        assert not (packages / name).exists(), name
    assert not (image.root / "usr/bin/gcc").exists()
    assert not (image.root / "src").exists()


def test_it_is_nobodys_in_particular(image: Image) -> None:
    assert image.config["User"] == f"{USER}:{USER}"
    assert image.config["Labels"]["org.opencontainers.image.title"] == "geo-extproc"
    version = said(image.command("--version"))
    assert version.startswith("geo-extproc ")
    assert version.endswith(", compiled\n")
    owned = said(["find", str(image.root / "opt"), "-uid", str(USER)])
    assert owned == "", "it may change nothing of itself"


def test_it_renders_envoys_configuration(image: Image, volumes: dict[Path, str]) -> None:
    said(image.command("envoy-config", "--write", "/run/envoy/envoy.yaml", volumes=volumes))
    (folder,) = [folder for folder, path in volumes.items() if path == "/run/envoy"]
    assert "static_resources" in yaml.safe_load((folder / "envoy.yaml").read_text())


def test_it_serves_from_a_root_that_cannot_be_written(image: Image, volumes: dict[Path, str], tmp_path: Path) -> None:
    settings, sockets, _ = volumes
    address = (settings / "geo-extproc.toml").read_text().splitlines()[1].split('"')[1]
    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen(image.command(volumes=volumes), stderr=log)
    try:
        answered_within(f"http://{address}/readyz", program, tmp_path / "log")
        (socket,) = sockets.iterdir()
        assert (socket.stat().st_uid, socket.stat().st_mode & 0o777) == (USER, 0o600)
        program.send_signal(signal.SIGTERM)
        assert program.wait(timeout=30) == 0
    finally:
        program.kill()
        program.wait()
    assert list(sockets.iterdir()) == []
    assert '"level": "error"' not in (tmp_path / "log").read_text()


def answered_within(url: str, program: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert program.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of this test
                assert answer.status == 200
                return
        except URLError:
            time.sleep(0.05)
