"""What each test of HTTP/2 has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from extproc.transport.http2.limits import Limits
from tests.transport.http2.dialogue import Dialogue


@pytest.fixture
def new_dialogue() -> Iterator[Callable[..., Dialogue]]:
    """Whatever a test sends is sent again in pieces once it is over, and must come to the same."""
    made: list[Dialogue] = []

    def new(limits: Limits | None = None) -> Dialogue:
        made.append(Dialogue(limits))
        return made[-1]

    yield new
    for dialogue in made:
        dialogue.is_the_same_in_pieces()


@pytest.fixture
def dialogue(new_dialogue: Callable[..., Dialogue]) -> Dialogue:
    """With the default limits; nothing was sent yet."""
    return new_dialogue()
