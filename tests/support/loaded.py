"""Settings as they are loaded from a file."""

from __future__ import annotations

from pathlib import Path

from extproc.settings import Settings
from tests.support.program import SITES


def loaded(folder: Path, text: str = "") -> Settings:
    """With `text` in it, two sites, and `auth.mode` where `text` says nothing of it."""
    file = folder / "geo.toml"
    file.write_text(text if "auth" in text else 'auth.mode = "passthrough"\n' + text)
    with file.open("a") as stream:
        stream.write("\n" + SITES)
    return Settings.load(file)
