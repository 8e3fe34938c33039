"""What a command did, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Ran:
    code: object
    out: str
    err: str


Run = Callable[..., Ran]


def with_store(config: Path, url: str) -> Path:
    config.write_text(config.read_text() + f'store.url = "{url}"\n')
    return config


def one_sentence(ran: Ran, code: int, *parts: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    (sentence,) = ran.err.splitlines()
    assert sentence.startswith("geo-extproc: ")
    for part in parts:
        assert part in sentence
