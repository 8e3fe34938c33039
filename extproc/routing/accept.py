"""The `Accept` header as far as leases need it (RFC 9110 §12.5.1).

A registry answers a tag according to `Accept`: a client that does not list index types gets a rewritten child.
So a lease is written only from a request that covers all four types, and used only for one that covers its own.
Wildcards do not count, for registries ignore them when they choose what to rewrite.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

LEASED_MEDIA_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
"""Both index types and both manifest types: the only ones that a lease may carry."""


_LONGEST_CACHED: Final = 2048
"""Characters: clients of one kind send one list; a client that sends 60 KB must not fill the cache."""


def accepted_media_types(values: tuple[str, ...]) -> frozenset[str]:
    """The media types listed in all `Accept` lines, lower case, without those refused by `q=0`."""
    short = sum(map(len, values)) <= _LONGEST_CACHED
    return (_parse if short else _parse.__wrapped__)(values)


@lru_cache(maxsize=256)
def _parse(values: tuple[str, ...]) -> frozenset[str]:
    found = set()
    for element in ",".join(values).split(","):
        media_type, *parameters = (part.strip().lower() for part in element.split(";"))
        if media_type and not any(_refuses(parameter) for parameter in parameters):
            found.add(media_type)
    return frozenset(found)


def bare_media_type(content_type: str) -> str:
    """`Content-Type` without its parameters, lower case."""
    return content_type.partition(";")[0].strip().lower()


def _refuses(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and weight.strip().rstrip("0") in {"", "0.", "0"} and weight.strip() != ""
