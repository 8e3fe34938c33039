"""The fuzz targets by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Final

NAMES: Final = ("path", "token", "notification", "stream", "admin")
HERE: Final = Path(__file__).parent
LONGEST: Final = 4096
"""Bytes of one input."""

Check = Callable[[bytes], str]
"""Raises for a finding; else the outcome in a word."""
Mutate = Callable[[bytes, Random], bytes]
"""A target's own way to change an input, beside the fuzzer's."""


def load(name: str) -> Check:
    """Only now is its module imported, so that the fuzzer may see to how."""
    check: Check = import_module(f"{__package__}.{name}").check
    return check


def mutator(name: str) -> Mutate | None:
    mutate: Mutate | None = getattr(import_module(f"{__package__}.{name}"), "mutate", None)
    return mutate


def corpus(name: str) -> Path:
    return HERE / "corpus" / name


def dictionary(name: str) -> Path:
    return HERE / "dictionaries" / f"{name}.dict"
