"""How long the primary is left alone, and what is told."""

from __future__ import annotations

import math

import structlog

from extproc.oci.reference import Name
from extproc.renewal.patience import Patience

NAME = Name("g/app")


def test_failures_in_a_row_make_ever_longer_pauses() -> None:
    patience, now, pauses = Patience(), 0.0, []
    with structlog.testing.capture_logs() as logs:
        for _ in range(11):
            patience.failed(NAME, "no answer", now, refused=False)
            pauses.append(max(patience.left_alone_until - now, 0))
            now = max(patience.left_alone_until, now)
    assert pauses == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [line["log_level"] for line in logs] == ["error"]


def test_failures_during_a_pause_do_not_stretch_it() -> None:
    patience = Patience()
    for _ in range(10):
        patience.failed(NAME, "no answer", 0, refused=False)
    assert patience.left_alone_until == 1
    for _ in range(5000):
        patience.failed(NAME, "no answer", 0.5, refused=False)
    patience.failed(NAME, "no answer", 1, refused=False)
    assert patience.left_alone_until == 61


def test_an_answer_ends_it() -> None:
    patience = Patience()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            patience.failed(NAME, "no answer", 0, refused=False)
        patience.answered()
        patience.answered()
        assert patience.left_alone_until == -math.inf
        patience.failed(NAME, "no answer", 5, refused=False)
        assert patience.left_alone_until == -math.inf
    assert [line["log_level"] for line in logs] == ["error", "info"]


def test_one_name_that_is_refused_counts_once() -> None:
    patience = Patience()
    with structlog.testing.capture_logs() as logs:
        for now in range(100):
            patience.failed(NAME, "401", now, refused=True)
    assert patience.left_alone_until == -math.inf
    assert [line["log_level"] for line in logs] == ["warning"]


def test_many_names_that_are_refused_are_a_matter_of_the_account() -> None:
    patience = Patience()
    with structlog.testing.capture_logs() as logs:
        for number in range(9):
            patience.failed(Name(f"g/n{number}"), "401", 1000 * number, refused=True)
            assert (patience.left_alone_until > 1000 * number) == (number >= 2)
        assert [line["log_level"] for line in logs] == ["warning"]
        patience.failed(Name("g/n9"), "401", 9000, refused=True)
        assert [line["log_level"] for line in logs] == ["warning", "error"]
        patience.answered()
        patience.failed(NAME, "401", 9001, refused=True)
    assert [line["log_level"] for line in logs] == ["warning", "error", "info"]
