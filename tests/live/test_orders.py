"""From a supervisor to a worker."""

from __future__ import annotations

from pathlib import Path

from extproc.auth.keys import KeyDocument
from extproc.live.orders import Orders
from tests.support.loaded import loaded


def test_a_line_is_taken_as_it_was(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'rollout.include = ["group/**", "other"]\nstore.url = "redis://:p%0Aw@h"\n')
    orders = Orders(settings, (KeyDocument("/a\ud800", bytes(range(256))), KeyDocument("/b", b"")))
    line = orders.line()
    assert line.index(b"\n") == len(line) - 1
    assert Orders.taken(line) == orders


def test_without_key_files(tmp_path: Path) -> None:
    orders = Orders(loaded(tmp_path), ())
    assert Orders.taken(orders.line()) == orders
