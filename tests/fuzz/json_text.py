"""Changes JSON as JSON: a fuzzer that changes bytes seldom gets from a string to a list that holds it.

Pure: the same text and the same random numbers give the same change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, Final

_ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 1.5, 2**63, -(2**63), 10**30, 1e300, 1_799_999_940, 1_800_000_300),
    *(
        "",
        "a",
        "*",
        "pull",
        "g/app",
        "\x00",
        "\ud800",
        "\u2028",
        "a" * 300,
        "sha256:" + "1" * 64,
        [],
        {},
        [[]],
        [None],
        [{}],
    ),
)
Node = tuple[Any, Any]
"""What holds a value, and under which key or place."""


def changed(text: bytes, random: Random) -> bytes:
    """One to three changes; what is no JSON stays as it is."""
    try:
        document = json.loads(text)
        for _ in range(random.randint(1, 3)):
            document = _changed(document, random)
        return json.dumps(document, ensure_ascii=random.random() < 0.9).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return text


def _changed(document: Any, random: Random) -> Any:
    nodes = list(_nodes(document))
    if not nodes:
        return _odd(random)
    holder, place = random.choice(nodes)
    change: Callable[[Any, Any, Any, Random], None] = random.choice(
        (_replace, _wrap, _remove, _repeat, _copy, _nudge)
    )
    change(holder, place, document, random)
    return document


def _nodes(value: Any) -> list[Node]:
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found: list[Node] = []
    for place in places:
        found += [(value, place), *_nodes(value[place])]
    return found


def _odd(random: Random) -> Any:
    """A copy: a further change may change what is in it."""
    return deepcopy(random.choice(_ODD))


def _replace(holder: Any, place: Any, _: Any, random: Random) -> None:
    holder[place] = _odd(random)


def _wrap(holder: Any, place: Any, _: Any, random: Random) -> None:
    """A list that holds the value, and something else."""
    both = [holder[place], _odd(random)]
    random.shuffle(both)
    holder[place] = both


def _remove(holder: Any, place: Any, _: Any, __: Random) -> None:
    del holder[place]


def _repeat(holder: Any, place: Any, _: Any, __: Random) -> None:
    if isinstance(holder, list):
        holder.append(holder[place])
    else:
        holder[f"{place}"[:-1]] = holder[place]


def _copy(holder: Any, place: Any, document: Any, random: Random) -> None:
    """Another value of the document, such as one field's in the other; by value, for nothing may hold itself."""
    other, there = random.choice(_nodes(document))
    holder[place] = json.loads(json.dumps(other[there]))


def _nudge(holder: Any, place: Any, _: Any, random: Random) -> None:
    """A value that is nearly the same."""
    value = holder[place]
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        holder[place] = (
            value[:at] + random.choice(("", "A", "/", ":", ".", "\n", "é")) + value[at + random.randint(0, 1) :]
        )
    elif isinstance(value, int | float):
        holder[place] = value + random.choice((-61, -60, -1, -0.5, 0.5, 1, 60, 61))
