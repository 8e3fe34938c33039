"""The console script in this process, and a configuration for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from extproc import cli
from tests.auth import issuer
from tests.cli.running import Ran, Run
from tests.support.program import SITES


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
