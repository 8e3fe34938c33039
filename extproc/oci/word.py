"""Enumerations whose members are written and looked up with each request."""

from __future__ import annotations

from enum import Enum


class Word(Enum):
    """Of words. `word` is the value, and the hash is the object's: Enum's own of both are functions in Python, which
    cost more than what is done with them."""

    word: str

    def __init__(self, word: str) -> None:
        self.word = word

    __hash__ = object.__hash__
