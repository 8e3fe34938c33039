"""Names, tags and digests (OCI distribution spec 1.1, "Pulling manifests"; image spec, "Digests").

Each class is a `str` whose constructor validates, so a value that exists is valid and nothing
downstream parses it again.
"""

from __future__ import annotations

import re
from typing import Final, Self

_NAME: Final = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII
)
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}", re.ASCII)
_NAME_LIMIT: Final = 255
"""distribution refuses longer names with NAME_INVALID."""


class ReferenceInvalid(ValueError):
    """The text is not a name, tag or digest of the specification's grammar."""


class Name(str):
    """A repository's name, such as `group/project/app`: at most 255 characters."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if len(text) > _NAME_LIMIT or _NAME.fullmatch(text) is None:
            raise ReferenceInvalid(f"{text[:300]!r} is not a repository name")
        return super().__new__(cls, text)


class Tag(str):
    """A mutable name of a manifest within a repository: at most 128 characters."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if _TAG.fullmatch(text) is None:
            raise ReferenceInvalid(f"{text[:300]!r} is not a tag")
        return super().__new__(cls, text)


class Digest(str):
    """`sha256:<64 hex>` or `sha512:<128 hex>`, lower case (image spec, registered algorithms)."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if _DIGEST.fullmatch(text) is None:
            raise ReferenceInvalid(f"{text[:300]!r} is not a sha256 or sha512 digest")
        return super().__new__(cls, text)

    @property
    def algorithm(self) -> str:
        return self[:6]

    @property
    def encoded(self) -> str:
        """The hexadecimal part."""
        return self[7:]


def parse_reference(text: str) -> Tag | Digest:
    """A manifest's reference; a tag cannot hold a colon, so the two never overlap.

    Raises ReferenceInvalid.
    """
    return Digest(text) if ":" in text else Tag(text)
