"""Counts add up; a summary survives JSON."""

from __future__ import annotations

import json

import pytest

from extproc.reconcile.summary import MOST_EXAMPLES, Counts, Summary

SUMMARY = Summary.of(
    Counts(names=2, tags=3, same=1, missing=2, missing_examples=("a:b", "a:c")),
    source="catalog",
    by="reconcile on host, pid 1",
    started=1.5,
    finished=3.5,
)


def test_counts_add_up() -> None:
    one = Counts(names=1, tags=3, behind=1, behind_examples=("a:b",))
    two = Counts(names=1, tags=4, errors=1, behind_examples=("c:d",), error_examples=("c: refused",))
    assert one + two == Counts(
        names=2, tags=7, behind=1, errors=1, behind_examples=("a:b", "c:d"), error_examples=("c: refused",)
    )
    assert Counts() + one == one


def test_examples_are_few() -> None:
    many = Counts(missing_examples=tuple(f"a:v{number}" for number in range(15)))
    assert len((many + many).missing_examples) == MOST_EXAMPLES


def test_there_and_back() -> None:
    assert Summary.from_json(SUMMARY.to_json()) == SUMMARY


def test_keys_of_later_versions_are_passed_over() -> None:
    assert Summary.from_json(json.dumps(json.loads(SUMMARY.to_json()) | {"later": 1})) == SUMMARY


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"source": 1, "by": "", "started": 1, "finished": 2}'])
def test_what_is_no_summary(text: str) -> None:
    with pytest.raises(ValueError, match="Summary"):
        Summary.from_json(text)
