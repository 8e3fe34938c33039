"""A file's content changed as a mounted ConfigMap or Secret is: never half written."""

from __future__ import annotations

from pathlib import Path


def swap(file: Path, content: bytes) -> None:
    """By a rename, so whoever opens it sees all of the old or all of the new."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(content)
    new.rename(file)
