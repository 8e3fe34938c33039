"""Marks of writes under way: each write has a name of its own for its mark, and a store keeps what `kept_as` says.

A write that a worker sees lifts its mark. Nobody hears when an unseen one is over, so its mark stays until it
expires, and one with the latest end does for all of a name: a flood of copies must not leave a mark each, for every
operation on the name walks through them.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

_UNSEEN: Final = "unseen"


def unseen_mark() -> str:
    """Of one write that no processor saw. Nobody lifts it."""
    # A space is in no other write's.
    return f"{_UNSEEN} {uuid4().hex}"


def kept_as(mark: str) -> str:
    """The mark under which a store keeps it; when it is there already, the later end counts."""
    return _UNSEEN if mark.startswith(f"{_UNSEEN} ") else mark
