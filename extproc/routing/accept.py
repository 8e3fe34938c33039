"""The `Accept` header as far as leases need it (RFC 9110 §12.5.1).

A registry answers a tag according to `Accept`: a client that does not list index types gets a rewritten child.
So a lease is written only from a request that covers all four types, and used only for one that covers its own.
Wildcards do not count, for registries ignore them when they choose what to rewrite. Nor does anything that some
registry might read as not listed, and so answer with a child: another case (distribution 2.8 compares byte for byte),
parameters other than one weight (distribution 3 skips what it cannot parse), other white space. Read more laxly than
the registry reads it, one client's `Accept` would lease the wrong digest for all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_ELEMENT: Final = re.compile(r"(?P<type>[^\s;]+)(?:;q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?", re.ASCII)
_ZERO: Final = re.compile(r"0(?:\.0*)?")
_LONGEST_CACHED: Final = 2048
"""Characters: clients of one kind send one list; a client that sends 60 KB must not fill the cache."""


def accepted_media_types(values: tuple[str, ...]) -> frozenset[str]:
    """The media types that all `Accept` lines list beyond doubt, without those refused by `q=0`."""
    short = sum(map(len, values)) <= _LONGEST_CACHED
    return (_parse if short else _parse.__wrapped__)(values)


@lru_cache(maxsize=256)
def _parse(values: tuple[str, ...]) -> frozenset[str]:
    found = (_ELEMENT.fullmatch(element.strip(" \t")) for element in ",".join(values).split(","))
    return frozenset(match["type"] for match in found if match and not _ZERO.fullmatch(match["weight"] or "1"))
