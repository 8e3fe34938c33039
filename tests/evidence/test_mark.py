from __future__ import annotations

from extproc.evidence.mark import kept_as, unseen_mark


def test_each_write_has_a_mark_of_its_own() -> None:
    assert unseen_mark() != unseen_mark()


def test_unseen_writes_share_what_is_kept_and_others_do_not() -> None:
    assert kept_as(unseen_mark()) == kept_as(unseen_mark())
    assert kept_as("m") == "m" != kept_as("n")
    # Of no write, but if there were one it would be its own.
    assert kept_as("unseen-by-nobody") == "unseen-by-nobody"
