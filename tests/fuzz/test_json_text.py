"""Changes to JSON."""

from __future__ import annotations

import json
from random import Random

import pytest

from tests.fuzz.json_text import changed

TEXT = b'{"aud": "registry", "access": [{"actions": ["pull"]}], "exp": 1800000300}'
MANY = [changed(TEXT, Random(seed)) for seed in range(2000)]


def test_what_comes_out_is_another_json_text() -> None:
    documents = [json.loads(each.decode("utf-8", "surrogatepass")) for each in MANY]
    assert all(isinstance(document, dict) for document in documents)
    assert sum(document != json.loads(TEXT) for document in documents) > 1900


def test_the_same_random_numbers_give_the_same() -> None:
    assert [changed(TEXT, Random(seed)) for seed in range(2000)] == MANY


def test_a_text_gets_into_a_list_beside_what_is_none() -> None:
    audiences = [json.loads(each.decode("utf-8", "surrogatepass")).get("aud") for each in MANY]
    assert any(isinstance(each, list) and "registry" in each and 0 in each for each in audiences)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_stays_as_it_is(text: bytes) -> None:
    assert changed(text, Random(1)) == text


@pytest.mark.parametrize("text", [b"1", b"{}", b"[]"])
def test_what_has_no_parts_is_replaced(text: bytes) -> None:
    assert {changed(text, Random(seed)) for seed in range(20)} != {text}
